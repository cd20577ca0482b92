"""Permutation tests, on fresh random masks, of whether a ranking is better than a random one."""

import itertools
import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

N_PERMUTATIONS = 9999
_CHUNK_SIZE = 1000


def luck_p(
    masks: NDArray[np.bool_], returns: Floats, values: Floats, generator: np.random.Generator
) -> float | None:
    """Return how often shuffled importance explains the returns of random masks as well.

    The score of a mask is the sum of the importance of the segments that it keeps. The statistic
    is the correlation of scores and returns within groups of masks that keep equally many
    segments. A shuffle permutes the values among the segments. The share of shuffles whose
    correlation is at least as large is the p-value.

    Args:
        masks: (n_groups, n, n_segments) random masks.
        returns: (n_groups, n) their returns; each group is standardised.
        values: (n_segments,) importance; segments with NaN are ignored.
        generator: Source of the shuffles.

    Returns:
        (1 + number of shuffles that do as well) / (1 + 9999), or the share of all orders where
        there are at most 9999; None where returns or values are constant.
    """
    finite = np.isfinite(values)
    if finite.sum() < 2 or np.ptp(values[finite]) == 0 or not returns.std(axis=1).any():
        return None
    # Groups keep different numbers of segments; standardised, each has the same weight.
    spread = returns.std(axis=1, keepdims=True)
    standardised = (returns - returns.mean(axis=1, keepdims=True)) / np.where(spread, spread, 1.0)
    centred_values = values[finite] - values[finite].mean()
    return _shuffle_p(
        _centred(masks[:, :, finite]), standardised.ravel(), centred_values, generator
    )


def half_luck_p(
    masks: NDArray[np.bool_],
    returns: Floats,
    values: Floats,
    half: NDArray[np.bool_],
    repetition: NDArray[np.int64],
    generator: np.random.Generator,
) -> float | None:
    """Return `luck_p` of the order within one half of the ranking, the other half being fixed.

    Three covariates are first regressed out of the returns: the number of segments of the half
    that a mask keeps, the score of the other segments, and the repetition. If the order in the
    half is random, p is below any level in at most that share of the maps, however good the order
    of the other segments is.

    Args:
        masks: (n_groups, n, n_segments) random masks.
        returns: (n_groups, n) their returns; the residuals are standardised in each group.
        values: (n_segments,) importance; segments with NaN are ignored.
        half: (n_segments,) whether a segment is shuffled.
        repetition: (n_groups, n) repetition of each return; those of one share a training seed.
        generator: Source of the shuffles.

    Returns:
        As for `luck_p`; None also where the covariates explain the returns completely.
    """
    in_half, outside = np.isfinite(values) & half, np.isfinite(values) & ~half
    if in_half.sum() < 2 or np.ptp(values[in_half]) == 0:
        return None
    x, y = _centred(masks), (returns - returns.mean(axis=1, keepdims=True)).ravel()
    same_repetition = repetition.ravel()[:, None] == np.unique(repetition)
    outside_score = (
        x[:, outside] @ (values[outside] - values[outside].mean()) if outside.any() else 0 * y
    )
    # All three stay the same under shuffles within the half, so that removing them keeps the
    # test exact. The indicators of repetitions sum to the constant.
    covariates = np.column_stack([x[:, in_half].sum(axis=1), outside_score, same_repetition])
    residuals = (y - covariates @ np.linalg.lstsq(covariates, y, rcond=None)[0]).reshape(
        returns.shape
    )
    # Rounding errors would be standardised to full size.
    if np.abs(residuals).max() <= 1e-9 * max(np.abs(returns).max(), 1.0):
        return None
    spread = residuals.std(axis=1, keepdims=True)
    residuals /= np.where(spread, spread, 1.0)
    return _shuffle_p(
        x[:, in_half], residuals.ravel(), values[in_half] - values[in_half].mean(), generator
    )


def _centred(masks: NDArray[np.bool_]) -> Floats:
    """Return masks minus the mean of their group, with groups stacked: (n_groups * n, d)."""
    centred: Floats = masks - masks.mean(axis=1, keepdims=True)
    return centred.reshape(-1, masks.shape[2])


def _shuffle_p(x: Floats, y: Floats, values: Floats, generator: np.random.Generator) -> float:
    """Return the share of shuffles of `values`, (d,), whose scores fit y as well.

    Args:
        x: (n, d) centred masks.
        y: (n,) centred returns.
        values: (d,) centred importance.
        generator: Source of the shuffles.
    """
    # The tolerance makes ties count: shuffles that swap equal values differ by rounding only.
    observed = _correlations(x, y, values[:, None])[0] - 1e-12
    if math.factorial(len(values)) <= N_PERMUTATIONS:
        # All orders, the observed one among them: p is exact, without the 1 added below.
        orders = np.array(list(itertools.permutations(values)))
        return float((_correlations(x, y, orders.T) >= observed).mean())
    # The observed order counts as one of the shuffles (Phipson and Smyth 2010): p is never 0.
    n_as_good = 0
    for start in range(0, N_PERMUTATIONS, _CHUNK_SIZE):
        count = min(_CHUNK_SIZE, N_PERMUTATIONS - start)
        shuffled = generator.permuted(np.tile(values, (count, 1)), axis=1).T
        n_as_good += int((_correlations(x, y, shuffled) >= observed).sum())
    return (1 + n_as_good) / (1 + N_PERMUTATIONS)


def _correlations(x: Floats, y: Floats, values: Floats) -> Floats:
    """Return the correlation of y, (n,), with the scores x @ values of each column, (n_columns,).

    x and y are centred. The correlation with constant scores is 0.
    """
    scores = x @ values
    norms = np.linalg.norm(scores, axis=0) * np.linalg.norm(y)
    products = y @ scores
    correlations: Floats = np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)
    return correlations
