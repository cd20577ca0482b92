"""Choose an amount of training from the returns of retrainings at increasing amounts."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from r2rise.statistics.significance import quantile
from r2rise.study.training import Finding

Floats = NDArray[np.float64]


class Choice(NamedTuple):
    """The chosen amount of training.

    Attributes:
        index: Index of the amount; the last where no amount is settled.
        finding: `settled`, or why no amount is.
    """

    index: int  # type: ignore[assignment]  # shadows tuple.index
    finding: Finding


def choose_amount(
    returns: Floats,
    random_policy: float,
    *,
    tolerance: float = 0.15,
    level: float = 0.05,
    beyond: int = 2,
) -> Choice:
    """Return the smallest amount beyond which more training changes little, or why there is none.

    An amount is settled if the mean returns of all larger amounts lie within the tolerance around
    its own. The largest amount with enough larger ones is tested first, at the full level. The
    smaller ones follow in turn, with simultaneous bounds, until one fails. So the probability of
    choosing an amount that is not settled is at most `level`. See "How long to train" in
    docs/method.md.

    Args:
        returns: (n_seeds, n_amounts) mean return of each training seed at increasing amounts. The
            seeds and their evaluation episodes are the same at every amount. Seeds with a NaN are
            left out; with fewer than 2 complete ones the finding is `undecided`.
        random_policy: Mean return of random actions.
        tolerance: Share of the best amount's gain over random actions.
        level: Probability that a finding is wrong, at most.
        beyond: Number of larger amounts that must have been tried. It is also the number of last
            doublings that count as the end of the curve, which may still rise.
    """
    complete = returns[np.isfinite(returns).all(axis=1)]
    last = returns.shape[1] - 1
    gains = complete - random_policy
    if len(gains) < 2 or gains.mean(axis=0).max() <= 0:
        return Choice(last, "undecided")
    margin = tolerance * gains[:, gains.mean(axis=0).argmax()]
    settled = last
    for index in range(last - beyond, -1, -1):
        n_tests = 1 if settled == last else 2 * (last - index)
        if not _all_within(gains[:, index + 1 :] - gains[:, [index]], margin, level / n_tests):
            break
        settled = index
    return Choice(
        settled, "settled" if settled < last else _unsettled_finding(gains, level, beyond)
    )


def _all_within(changes: Floats, margin: Floats, level: float) -> bool:
    """Return whether the means of all columns are shown to lie within the mean margin."""
    outside = np.hstack([changes, -changes]) - margin[:, None]
    return bool((_upper_bounds(outside, level) < 0).all())


def _unsettled_finding(gains: Floats, level: float, n_end: int) -> Finding:
    """Return how the largest amount differs from the smaller ones, as a finding."""
    excess = gains[:, [-1]] - gains[:, :-1]
    end_excess = excess[:, -n_end:]
    rises = bool((_upper_bounds(-end_excess, level / max(1, end_excess.shape[1])) < 0).any())
    falls = bool((_upper_bounds(excess, level / max(1, excess.shape[1])) < 0).any())
    if rises and falls:
        return "not_monotone"
    return "still_rising" if rises else "falls_with_training" if falls else "undecided"


def _upper_bounds(values: Floats, level: float) -> Floats:
    """Return one-sided upper bounds of the means of columns, (n_columns,), by Student's t."""
    n = len(values)
    width: Floats = quantile(1 - level, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)
    upper: Floats = values.mean(axis=0) + width
    return upper
