"""From a ledger to an importance map, without retraining."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from r2rise.ask.map_notices import about_estimate, about_missed_goal, about_unfinished_block
from r2rise.data.segments import Segments
from r2rise.errors import InputError, NotReady
from r2rise.ledger.ledger import Ledger
from r2rise.ledger.record import Record
from r2rise.results.importance_map import ImportanceMap
from r2rise.results.result import now, versions
from r2rise.results.training_check import training_notices
from r2rise.statistics.baselines import measured_baseline
from r2rise.statistics.equal_importance import equal_importance_p
from r2rise.statistics.estimators import ESTIMATORS, Estimate, MaskedReturns, estimate
from r2rise.statistics.estimators.demonstrations import per_demonstration
from r2rise.statistics.reliability import reliability
from r2rise.statistics.stopping import (
    Stop,
    StoppingRule,
    check_time_sufficed,
    estimator_name,
)
from r2rise.statistics.summaries import (
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
from r2rise.statistics.worth_explaining import worth_notices
from r2rise.study.choices import EstimatorName
from r2rise.study.notices import Notice
from r2rise.study.study import Study


def importance_map(ledger: Ledger, study: Study, notices: Sequence[Notice] = ()) -> ImportanceMap:
    """Compute the map of a resolved study from its ledger.

    Args:
        ledger: Records of the study's design; records beyond its budget are ignored.
        study: The resolved study.
        notices: Notices from before the first retraining.

    Raises:
        InputError: When it is not given a ledger.
        NotReady: When there are too few successful retrainings for any estimator, or the time limit
            came before there were any.
    """
    if not isinstance(ledger, Ledger):
        raise InputError(
            f"ledger should be a Ledger, got {type(ledger).__name__}: Ledger.load(path) reads one."
        )
    lengths = np.array(ledger.header.lengths, dtype=np.int64)
    segments = Segments.of(lengths, study.masking)
    stop = StoppingRule(study, segments).decide(ledger)
    check_time_sufficed(stop, study, ledger)
    planned = stop.n_retrainings if stop else study.budget.retrainings
    records = ledger.records("design", planned)
    sample = MaskedReturns.of(records, segments, study.masking)
    name, estimated, estimator_notices = _estimate(study, sample)
    estimated_reliability = reliability(estimated)
    quality = Quality(
        equal_importance_p=equal_importance_p(sample, study.seed),
        reliability=estimated_reliability.value,
        reliability_method=estimated_reliability.method,
    )
    baseline = measured_baseline(ledger, study)
    stopped = _stopped(stop, ledger, study)
    all_notices = (
        *worth_notices(study, baseline, records),
        *(notice for notice in training_notices(study) if notice not in notices),
        *notices,
        *estimator_notices,
        *about_estimate(records, sample, estimated, estimated_reliability.value, study),
        *about_unfinished_block(stop, ledger, study),
        *about_missed_goal(study, stop, estimated_reliability.value, estimated, sample),
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
        importance=estimated.importance,
        std_error=estimated.std_error,
        n_kept=sample.n_kept,
        n_masked=len(sample) - sample.n_kept,
        degrees_of_freedom=_smallest(estimated.degrees_of_freedom),
        segment_degrees=estimated.degrees_of_freedom,
        verdicts=judge(study, estimated, baseline, len(sample)),
        demonstrations=_demonstrations(study, estimated, segments, baseline, len(sample)),
        stopped=stopped,
        quality=quality,
        versions=versions(),
        warnings=all_notices,
    )


def _estimate(study: Study, sample: MaskedReturns) -> tuple[EstimatorName, Estimate, list[Notice]]:
    """Estimate as the study says, or by ridge while no block is usable for differences."""
    name = estimator_name(study)
    try:
        return name, estimate(name, sample), []
    except NotReady as error:
        if name != "difference":
            raise
        detail = f"Ridge regression replaces the difference estimator: {error}"
        notice = Notice(code="estimator_changed", detail=detail)
        return "ridge", estimate("ridge", sample), [notice]


def _stopped(stop: Stop | None, ledger: Ledger, study: Study) -> Stopped | None:
    if stop is None:
        return None
    if stop.within_block:
        return Stopped(reason=stop.reason, seconds=ledger.work_seconds)
    last_block = stop.n_retrainings // study.masking.masks_between_looks - 1
    return Stopped(reason=stop.reason, seconds=ledger.elapsed.get(last_block))


def _smallest(degrees: NDArray[np.float64]) -> float | None:
    finite = degrees[np.isfinite(degrees)]
    return float(finite.min()) if len(finite) else None


def _demonstrations(
    study: Study, estimated: Estimate, segments: Segments, baseline: Baseline, n_retrainings: int
) -> DemonstrationTable | None:
    """Return the sums over demonstrations; None for the rise estimators, which have no unit."""
    if not ESTIMATORS[estimator_name(study)].signed:
        return None
    first_segment = np.flatnonzero(np.diff(segments.demonstration, prepend=-1))
    sums = per_demonstration(estimated, first_segment)
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
