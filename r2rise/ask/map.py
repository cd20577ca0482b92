"""From a ledger to an importance map; nothing is retrained."""

import math
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from numpy.typing import NDArray

from r2rise.data.segments import Segments
from r2rise.design.masks import masks_for_intervals
from r2rise.errors import NotReady
from r2rise.ledger.ledger import EMPTY_MASK, Ledger, Record
from r2rise.results.importance_map import ImportanceMap
from r2rise.results.result import now
from r2rise.results.training_check import training_notices
from r2rise.statistics.baselines import measured_baseline
from r2rise.statistics.equal_importance import equal_importance_p
from r2rise.statistics.estimators import ESTIMATORS, Estimate, MaskedReturns, estimate
from r2rise.statistics.estimators.demonstrations import per_demonstration
from r2rise.statistics.estimators.sample import Outliers
from r2rise.statistics.failures import failures_by_segment, failures_follow_frames_kept
from r2rise.statistics.reliability import reliability
from r2rise.statistics.stopping import (
    Stop,
    StoppingRule,
    block_size,
    check_time_sufficed,
    estimator_name,
)
from r2rise.statistics.summaries import (
    LOW_RELIABILITY,
    Baseline,
    Dataset,
    DemonstrationTable,
    EstimatorInfo,
    Quality,
    Retrainings,
    SegmentTable,
    Stopped,
)
from r2rise.statistics.verdicts import judge
from r2rise.statistics.wording import counted, left_out
from r2rise.statistics.worth_explaining import worth_notices
from r2rise.study.notices import Notice
from r2rise.study.parts import EstimatorName
from r2rise.study.study import Study

_PACKAGES = ("r2rise", "numpy", "scipy", "gymnasium", "torch")


def importance_map(ledger: Ledger, study: Study, notices: Sequence[Notice] = ()) -> ImportanceMap:
    """Compute the map of a resolved study from its ledger.

    Args:
        ledger: Records of the study's design; more than its budget asks for are left out.
        study: The resolved study.
        notices: What was noticed before the first retraining.

    Raises:
        NotReady: When there are too few successful retrainings for any estimator, or time ended
            before there were any.
    """
    lengths = np.array(ledger.header.lengths, dtype=np.int64)
    segments = Segments.of(lengths, study.masking)
    stop = StoppingRule(study, segments).decide(ledger)
    check_time_sufficed(stop, study, ledger)
    planned = stop.n_retrainings if stop else study.budget.retrainings
    records = ledger.records("design", planned)
    sample = MaskedReturns.of(records, segments, study.masking)
    name, found, more = _estimate(study, sample)
    trust = reliability(found)
    quality = Quality(
        equal_importance_p=equal_importance_p(sample, study.seed),
        reliability=trust.value,
        reliability_method=trust.method,
    )
    baseline = measured_baseline(ledger, study)
    stopped = _stopped(stop, ledger, study)
    all_notices = (
        *worth_notices(study, baseline, records),
        *(notice for notice in training_notices(study) if notice not in notices),
        *notices,
        *more,
        *_about(records, sample, found, trust.value, study),
        *_cut_off(stop, ledger, study),
        *_goal_missed(study, stop, trust.value, found, sample),
    )
    return ImportanceMap(
        revision=len(records),
        partial=len(records) < planned,
        created_at=now(),
        study=study,
        design_hash=study.design_hash,
        study_hash=study.study_hash,
        dataset=Dataset(sha256=study.demonstrations or "", lengths=lengths),
        estimator=EstimatorInfo(
            name=name,
            unit=study.evaluation.unit,
            sign="positive_helps" if ESTIMATORS[name].signed else "order_only",
        ),
        retrainings=_retrainings(records, sample, planned),
        baseline=baseline,
        segments=SegmentTable(
            length=study.masking.segment_length,
            demonstration=segments.demonstration,
            start=segments.start,
            stop=segments.stop,
        ),
        importance=found.importance,
        std_error=found.std_error,
        n_kept=sample.n_kept,
        n_masked=len(sample) - sample.n_kept,
        degrees_of_freedom=_least(found.degrees_of_freedom),
        segment_degrees=found.degrees_of_freedom,
        verdicts=judge(study, found, baseline, len(sample)),
        demonstrations=_demonstrations(study, found, segments, baseline, len(sample)),
        stopped=stopped,
        quality=quality,
        versions=versions(),
        warnings=all_notices,
    )


def _estimate(study: Study, sample: MaskedReturns) -> tuple[EstimatorName, Estimate, list[Notice]]:
    """Estimate as the study says; ridge while no block of a difference estimate is usable."""
    name = estimator_name(study)
    try:
        return name, estimate(name, sample), []
    except NotReady as error:
        if name != "difference":
            raise
        detail = f"Ridge regression instead of the difference estimator: {error}"
        notice = Notice(code="estimator_changed", detail=detail)
        return "ridge", estimate("ridge", sample), [notice]


def _about(
    records: Sequence[Record],
    sample: MaskedReturns,
    found: Estimate,
    trust: float | None,
    study: Study,
) -> list[Notice]:
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
    detail = left_out(n_failed, len(records))
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


def _stopped(stop: Stop | None, ledger: Ledger, study: Study) -> Stopped | None:
    if stop is None:
        return None
    if stop.within_block:
        return Stopped(reason=stop.reason, seconds=ledger.worked)
    last_block = stop.n_retrainings // block_size(study) - 1
    return Stopped(reason=stop.reason, seconds=ledger.elapsed.get(last_block))


def _cut_off(stop: Stop | None, ledger: Ledger, study: Study) -> list[Notice]:
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
        f"Time ended within a block of {block_size(study)}: {what}. They are in the ledger, and "
        f"the same study goes on from there with more time."
    )
    return [Notice(code="unfinished_block", detail=detail)]


def _goal_missed(
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


def _least(degrees: NDArray[np.float64]) -> float | None:
    finite = degrees[np.isfinite(degrees)]
    return float(finite.min()) if len(finite) else None


def _demonstrations(
    study: Study, found: Estimate, segments: Segments, baseline: Baseline, n_retrainings: int
) -> DemonstrationTable | None:
    """Return the sums over demonstrations; None for the two rise estimators, which have no unit."""
    if not ESTIMATORS[estimator_name(study)].signed:
        return None
    first_segment = np.flatnonzero(np.diff(segments.demonstration, prepend=-1))
    sums = per_demonstration(found, first_segment)
    return DemonstrationTable(
        importance=sums.importance,
        std_error=sums.std_error,
        verdicts=judge(study, sums, baseline, n_retrainings),
    )


def _retrainings(records: Sequence[Record], sample: MaskedReturns, planned: int) -> Retrainings:
    returns = sample.returns
    return Retrainings(
        done=len(records),
        failed=len(records) - len(sample),
        planned=planned,
        mean_return=float(returns.mean()) if len(returns) else None,
        std_return=float(returns.std(ddof=1)) if len(returns) > 1 else None,
    )


def versions() -> dict[str, str]:
    """Return the versions that the numbers of a map depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # run from a source tree without installation
            continue
    return found
