"""Estimators of importance from masks and returns, one module for each."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from threadpoolctl import threadpool_limits

from r2rise.errors import NotReady
from r2rise.statistics.estimators.difference import difference
from r2rise.statistics.estimators.outliers import outliers
from r2rise.statistics.estimators.ridge import ridge
from r2rise.statistics.estimators.rise import rise, rise_normalized
from r2rise.statistics.estimators.sample import Estimate, MaskedReturns
from r2rise.study.choices import EstimatorName


class Estimator(NamedTuple):
    """An estimator of importance.

    Attributes:
        estimate: Estimates the importance of every segment from masks and returns.
        signed: Whether importance is in return units and positive where a segment helps;
            otherwise only its order has a meaning.
    """

    estimate: Callable[[MaskedReturns], Estimate]
    signed: bool = True


ESTIMATORS: dict[EstimatorName, Estimator] = {
    "difference": Estimator(difference),
    "ridge": Estimator(ridge),
    "rise": Estimator(rise, signed=False),
    "rise_normalized": Estimator(rise_normalized, signed=False),
}


def estimate(name: EstimatorName, sample: MaskedReturns) -> Estimate:
    """Estimate the importance of every segment.

    Raises:
        NotReady: When there are too few retrainings for this estimator.
    """
    if len(sample.returns) < 2:
        raise NotReady(
            f"An importance map needs at least 2 successful retrainings, but there are "
            f"{len(sample.returns)}."
        )
    # With one thread results are the same on any number of cores. It is also far faster on a busy
    # machine, where the threads of a decomposition wait for each other.
    with threadpool_limits(1):
        result = ESTIMATORS[name].estimate(sample)
    return replace(result, outlying=outliers(sample))


__all__ = ["ESTIMATORS", "Estimate", "MaskedReturns", "estimate"]
