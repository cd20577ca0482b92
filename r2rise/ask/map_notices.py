"""What a map should be read with: failures, waiting blocks, one seed, goals that were missed."""

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
    found: Estimate,
    trust: float | None,
    study: Study,
) -> list[Notice]:
    """Return what is to be known of an estimate: what failed, waits, decides it or is missing."""
    notices = []
    n_failed = len(records) - len(sample)
    if n_failed:
        notices.append(Notice(code="failed_retrainings", detail=_failed(records, n_failed)))
    if failures_follow_frames_kept(records, sample.n_frames):
        detail = "Failures go with the number of frames kept: the map describes the others only."
        notices.append(Notice(code="failures_follow_frames_kept", detail=detail))
    if (by_segment := failures_by_segment(records, sample.n_segments)) is not None:
        notices.append(Notice(code="failures_follow_segments", detail=by_segment))
    if found.n_waiting:
        waiting = counted(found.n_waiting, "retraining")
        detail = f"{waiting} waiting for the block to be of full rank."
        notices.append(Notice(code="waiting_blocks", detail=detail))
    notices += _withheld(found, study, sample)
    notices += _outlying(found.outlying, len(sample))
    if _has_one_seed(found, sample):
        detail = "All masks share one training seed: the map may describe one lucky start."
        notices.append(Notice(code="one_training_seed", detail=detail))
    if trust is not None and trust < LOW_RELIABILITY:
        detail = f"Reliability {trust:.2f}: much of this ranking would not come back."
        notices.append(Notice(code="low_reliability", detail=detail))
    return notices


def _failed(records: Sequence[Record], n_failed: int) -> str:
    """Say how many retrainings failed, and which of them could not be done."""
    n_empty = sum(record.reason == EMPTY_MASK for record in records)
    detail = failed_words(n_failed, len(records))
    if n_empty == n_failed:
        masks = "its mask keeps" if n_failed == 1 else "their masks keep"
        detail = f"{detail[:-1]}: {masks} no frames."
    return detail


def _outlying(far: Outliers | None, n_returns: int) -> list[Notice]:
    if far is None:
        return []
    detail = (
        f"{far.n} of {counted(n_returns, 'return')} lie far from all others (such as "
        f"{far.example:.4g}) and make up {far.share:.0%} of the variance: where they fall decides "
        f"the map. Look for rewards that explode, or name another score (evaluation.score)."
    )
    return [Notice(code="outlying_returns", detail=detail)]


def _withheld(found: Estimate, study: Study, sample: MaskedReturns) -> list[Notice]:
    """Say why there are no intervals, and what would give them."""
    if found.covers is not None or not ESTIMATORS[estimator_name(study)].signed:
        return []
    d = sample.n_segments
    detail = (
        f"No intervals and no verdicts: {len(sample)} retrainings are too few for {d} segments, so "
        f"that importance is estimated by ridge regression, which draws all effects towards each "
        f"other by an unknown amount. {masks_for_intervals(d)} retrainings (--retrainings) in "
        f"fold-over blocks would give them, or longer segments (--segment-length)."
    )
    return [Notice(code="intervals_withheld", detail=detail)]


def about_unfinished_block(stop: Stop | None, ledger: Ledger, study: Study) -> list[Notice]:
    """Say what became of the block within which time ended."""
    if stop is None or not stop.within_block:
        return []
    n_done = len(ledger.records("design", study.budget.retrainings))
    if n_done == stop.n_retrainings:
        return []
    left_out = n_done - stop.n_retrainings
    if left_out > 0:
        what = f"{left_out} retrainings of it are left out of this map"
    else:
        what = f"the map is of the {n_done} retrainings there are"
    detail = (
        f"Time ended within a block of {study.masking.masks_between_looks}: {what}. They are in "
        f"the ledger, and the same study goes on from there with more time."
    )
    return [Notice(code="unfinished_block", detail=detail)]


def about_missed_goal(
    study: Study, stop: Stop | None, trust: float | None, found: Estimate, sample: MaskedReturns
) -> list[Notice]:
    """Say what it would take where a study ended without what it was to reach."""
    n_done = len(sample)
    goal = study.until.reliability
    if not study.until.has_goal or (stop is not None and stop.reason == "goal"):
        return []
    detail = "Verdicts are still open for some segments."
    if goal is not None and _has_one_seed(found, sample):
        detail = (
            "Reliability between training seeds was asked for, but all masks share one: at least "
            "one more block is needed."
        )
    elif goal is not None and (trust is None or trust < goal):
        reached = "unknown" if trust is None else f"{trust:.2f}"
        detail = f"Reliability {goal} was asked for and is {reached} after {n_done} retrainings."
        if trust is not None and 0 < trust < goal:
            needed = math.ceil(n_done * goal * (1 - trust) / (trust * (1 - goal)))
            detail += f" About {needed} would reach it, or longer segments."
    return [Notice(code="goal_not_reached", detail=detail)]


def _has_one_seed(found: Estimate, sample: MaskedReturns) -> bool:
    """Say whether all masks that the map rests on share a training seed; some may wait."""
    only_block = sample.seeds == "block" and len(sample.blocks) == 1
    return only_block or found.covers == "masks"
