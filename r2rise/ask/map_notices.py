"""Notices of a map: failures, waiting blocks, a single seed, goals that were missed."""

import math
from collections.abc import Sequence

from r2rise.design.masks import masks_for_intervals
from r2rise.ledger.ledger import Ledger
from r2rise.ledger.record import EMPTY_MASK, Record
from r2rise.statistics.estimators import ESTIMATORS, Estimate, MaskedReturns
from r2rise.statistics.estimators.sample import Outliers
from r2rise.statistics.failures import failures_by_segment, failures_follow_frames_kept
from r2rise.statistics.stopping import (
    Stop,
    estimator_name,
)
from r2rise.statistics.summaries import (
    LOW_RELIABILITY,
)
from r2rise.statistics.wording import counted, failed_words
from r2rise.study.notices import Notice
from r2rise.study.study import Study


def about_estimate(
    records: Sequence[Record],
    sample: MaskedReturns,
    estimate: Estimate,
    reliability: float | None,
    study: Study,
) -> list[Notice]:
    """Return the notices of an estimate.

    They are about failed retrainings, waiting blocks, intervals that are missing, outlying returns,
    a single training seed, and low reliability.
    """
    notices = []
    n_failed = len(records) - len(sample)
    if n_failed:
        notices.append(
            Notice(code="failed_retrainings", detail=_describe_failures(records, n_failed))
        )
    if failures_follow_frames_kept(records, sample.n_frames):
        detail = (
            "Failures depend on the number of frames kept, and the map describes only the "
            "retrainings that succeeded."
        )
        notices.append(Notice(code="failures_follow_frames_kept", detail=detail))
    if (by_segment := failures_by_segment(records, sample.n_segments)) is not None:
        notices.append(Notice(code="failures_follow_segments", detail=by_segment))
    if estimate.n_waiting:
        waiting = counted(estimate.n_waiting, "retraining")
        detail = f"{waiting} left out of the map until their block has full rank."
        notices.append(Notice(code="waiting_blocks", detail=detail))
    notices += _withheld_intervals(estimate, study, sample)
    notices += _outlying_returns(estimate.outlying, len(sample))
    if _has_one_seed(estimate, sample):
        detail = "All masks share one training seed: the map may describe one lucky start."
        notices.append(Notice(code="one_training_seed", detail=detail))
    if reliability is not None and reliability < LOW_RELIABILITY:
        detail = f"Reliability {reliability:.2f}: much of this ranking would not be reproduced."
        notices.append(Notice(code="low_reliability", detail=detail))
    return notices


def _describe_failures(records: Sequence[Record], n_failed: int) -> str:
    """Describe how many retrainings failed, and whether because their masks keep no frames."""
    n_empty = sum(record.reason == EMPTY_MASK for record in records)
    detail = failed_words(n_failed, len(records))
    if n_empty == n_failed:
        masks = "its mask keeps" if n_failed == 1 else "their masks keep"
        detail = f"{detail[:-1]}: {masks} no frames."
    return detail


def _outlying_returns(outliers: Outliers | None, n_returns: int) -> list[Notice]:
    if outliers is None:
        return []
    detail = (
        f"{outliers.n} of {counted(n_returns, 'return')} lie far from all others (such as "
        f"{outliers.example:.4g}) and make up {outliers.share:.0%} of the variance, and so "
        f"decide the map. Look for exploding rewards, or choose another score (evaluation.score)."
    )
    return [Notice(code="outlying_returns", detail=detail)]


def _withheld_intervals(estimate: Estimate, study: Study, sample: MaskedReturns) -> list[Notice]:
    """Explain why there are no intervals, and what would give them."""
    if estimate.covers is not None or not ESTIMATORS[estimator_name(study)].signed:
        return []
    d = sample.n_segments
    detail = (
        f"No intervals and no verdicts: {len(sample)} retrainings are too few for {d} segments, so "
        f"that importance is estimated by ridge regression, which shrinks all effects towards "
        f"each other by an unknown amount. To get intervals, use {masks_for_intervals(d)} "
        f"retrainings in fold-over blocks, or longer segments (segment_length)."
    )
    return [Notice(code="intervals_withheld", detail=detail)]


def about_unfinished_block(stop: Stop | None, ledger: Ledger, study: Study) -> list[Notice]:
    """Describe how a map treats the block that the time limit interrupted."""
    if stop is None or not stop.within_block:
        return []
    n_done = len(ledger.records("design", study.budget.retrainings))
    if n_done == stop.n_retrainings:
        return []
    n_left_out = n_done - stop.n_retrainings
    if n_left_out > 0:
        extent = f"this map leaves out its {n_left_out} retrainings"
    else:
        extent = f"this map uses only {n_done} retrainings"
    detail = (
        f"Time ran out within a block of {study.masking.masks_between_looks}: {extent}. They are "
        f"in the ledger; with more time, the same study continues from there."
    )
    return [Notice(code="unfinished_block", detail=detail)]


def about_missed_goal(
    study: Study,
    stop: Stop | None,
    reliability: float | None,
    estimate: Estimate,
    sample: MaskedReturns,
) -> list[Notice]:
    """Describe what it would take to reach the goal of a study that ended without it."""
    n_done = len(sample)
    goal = study.until.reliability
    if not study.until.has_goal or (stop is not None and stop.reason == "goal"):
        return []
    detail = "Some segments are still unresolved."
    if goal is not None and _has_one_seed(estimate, sample):
        detail = (
            "A reliability compares training seeds, but all masks share one: at least one more "
            "block is needed to reach the goal."
        )
    elif goal is not None and (reliability is None or reliability < goal):
        reached = "unknown" if reliability is None else f"{reliability:.2f}"
        detail = f"The goal is reliability {goal}, but it is {reached} after {n_done} retrainings."
        if reliability is not None and 0 < reliability < goal:
            needed = math.ceil(n_done * goal * (1 - reliability) / (reliability * (1 - goal)))
            detail += f" About {needed} retrainings, or longer segments, would reach it."
    return [Notice(code="goal_not_reached", detail=detail)]


def _has_one_seed(estimate: Estimate, sample: MaskedReturns) -> bool:
    """Return whether all masks of the map, waiting blocks left out, share a training seed."""
    only_block = sample.seeds == "block" and len(sample.blocks) == 1
    return only_block or estimate.covers == "masks"
