"""From a ledger's masks and returns to importance, one file per estimator."""

from collections.abc import Callable
from dataclasses import replace

from threadpoolctl import threadpool_limits

from r2rise.errors import NotReady
from r2rise.statistics.estimators.difference import difference
from r2rise.statistics.estimators.outliers import outliers
from r2rise.statistics.estimators.ridge import ridge
from r2rise.statistics.estimators.rise import rise, rise_normalized
from r2rise.statistics.estimators.sample import Estimate, MaskedReturns
from r2rise.study.parts import EstimatorName

ESTIMATORS: dict[EstimatorName, Callable[[MaskedReturns], Estimate]] = {
    "difference": difference,
    "ridge": ridge,
    "rise": rise,
    "rise_normalized": rise_normalized,
}


def estimate(name: EstimatorName, sample: MaskedReturns) -> Estimate:
    """Estimate the importance of every segment.

    Raises:
        NotReady: When there are too few retrainings for this estimator.
    """
    if len(sample.returns) < 2:
        raise NotReady(
            f"An importance map needs at least 2 successful retrainings, there are "
            f"{len(sample.returns)}."
        )
    # One thread: the same bits on any number of cores, and far faster on a busy machine, where
    # the threads of a decomposition wait for each other.
    with threadpool_limits(1):
        found = ESTIMATORS[name](sample)
    return replace(found, outlying=outliers(sample))


__all__ = ["ESTIMATORS", "Estimate", "MaskedReturns", "estimate"]
