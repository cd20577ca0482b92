"""Which amount of training to choose, from the returns of retrainings at increasing amounts."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from r2rise.significance import quantile

Floats = NDArray[np.float64]

Finding = Literal["settled", "still_rising", "falls_with_training", "not_monotone", "undecided"]
"""What a training curve shows; all but `settled` are warnings."""


class Choice(NamedTuple):
    """The amount to train.

    Attributes:
        index: Which of the amounts; the last where none is justified.
        finding: `settled` where the amount is justified, else why it is not.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index
    finding: Finding


def choose_amount(
    returns: Floats,
    random_policy: float,
    *,
    tolerance: float = 0.15,
    level: float = 0.05,
    beyond: int = 2,
) -> Choice:
    """Return the smallest amount from which more training changes little, or why there is none.

    Args:
        returns: (n_seeds, n_amounts) mean return of each training seed at increasing amounts. The
            seeds and their evaluation episodes are the same at every amount. Seeds with a NaN are
            left out.
        random_policy: Mean return of random actions.
        tolerance: What counts as little, as a share of the best amount's gain over random actions.
        level: How often an amount that is not settled may be called settled.
        beyond: How many larger amounts must have been tried.
    """
    complete = returns[np.isfinite(returns).all(axis=1)]
    last = returns.shape[1] - 1
    if len(complete) < 2:
        return Choice(last, "undecided")
    gains = complete - random_policy
    best = gains[:, gains.mean(axis=0).argmax()]
    if best.mean() <= 0:
        return Choice(last, "undecided")
    for index in range(last + 1 - beyond):
        change = gains[:, index + 1 :] - gains[:, [index]]
        allowed = tolerance * best[:, None]
        outside = np.hstack([change - allowed, -change - allowed])
        if (_upper(outside, level / outside.shape[1]) < 0).all():
            return Choice(index, "settled")
    return Choice(last, _warning(gains, level))


def _warning(gains: Floats, level: float) -> Finding:
    """Say how the largest amount differs from the smaller ones."""
    earlier = gains[:, :-1] - gains[:, [-1]]
    each = level / (2 * max(1, earlier.shape[1]))
    rises = bool((_upper(earlier[:, -1:], each) < 0).any())
    falls = bool((_upper(-earlier, each) < 0).any())
    if rises and falls:
        return "not_monotone"
    return "still_rising" if rises else "falls_with_training" if falls else "undecided"


def _upper(values: Floats, level: float) -> Floats:
    """Return one-sided upper bounds of the means of columns, by Student's t."""
    n = len(values)
    error: Floats = values.std(axis=0, ddof=1) / np.sqrt(n)
    upper: Floats = values.mean(axis=0) + quantile(1 - level, n - 1) * error
    return upper
