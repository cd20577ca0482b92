"""Means with confidence intervals, as saved in results."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from r2rise.ledger.record import Record
from r2rise.statistics.significance import quantile
from r2rise.statistics.summaries import MapPart
from r2rise.statistics.wording import in_digits

CONFIDENCE = 0.95


class MeanInterval(MapPart):
    """A mean over repetitions with its 95 % interval.

    Attributes:
        mean: In return units.
        lower: Lower end; null with fewer than 2 repetitions.
        upper: Upper end; null with fewer than 2 repetitions.
        n: Repetitions.
    """

    mean: float
    lower: float | None
    upper: float | None
    n: int

    @property
    def is_above_zero(self) -> bool:
        """Whether the whole interval is above 0."""
        return self.lower is not None and self.lower > 0

    def __str__(self) -> str:
        if self.lower is None or self.upper is None:
            return in_digits(self.mean)
        return f"{in_digits(self.mean)} ({in_digits(self.lower)} to {in_digits(self.upper)})"


def mean_interval(values: NDArray[np.float64]) -> MeanInterval:
    """Return the mean of independent values, (n,), with its Student's t interval."""
    n, mean = len(values), float(values.mean())
    if n < 2:
        return MeanInterval(mean=mean, lower=None, upper=None, n=n)
    width = quantile((1 + CONFIDENCE) / 2, n - 1) * float(values.std(ddof=1)) / math.sqrt(n)
    return MeanInterval(mean=mean, lower=mean - width, upper=mean + width, n=n)


def mean_returns(records: Sequence[Record]) -> NDArray[np.float64]:
    """Return the mean return of each retraining, (n,); NaN where it failed."""
    means = [r.returns.mean() if r.status == "ok" else np.nan for r in records]
    return np.array(means, dtype=np.float64)


def paired_returns(
    records: Sequence[Record], n_arms: int
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return the mean returns of crossed tasks, repetition by repetition.

    A repetition in which an arm failed is left out, since arms are compared within repetitions.

    Args:
        records: Records of all arms of the first repetition, then of the second, and so on.
        n_arms: Number of arms.

    Returns:
        (n_repetitions,) bool, whether each is complete; and the (n_complete, n_arms) returns of
        those that are.
    """
    table = mean_returns(records).reshape(-1, n_arms)
    complete: NDArray[np.bool_] = np.all(np.isfinite(table), axis=1)
    return complete, table[complete]
