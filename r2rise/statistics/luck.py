"""Could a random ranking have done as well? A permutation test on fresh random masks."""

import itertools
import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

N_PERMUTATIONS = 9999
_AT_ONCE = 1000


def luck_p(
    masks: NDArray[np.bool_], returns: Floats, values: Floats, generator: np.random.Generator
) -> float | None:
    """Return how often shuffled importance explains the returns of random masks as well.

    What a mask scores is the sum of the importance of the segments it keeps. The statistic is the
    correlation of scores and returns within each group of masks that keep equally many segments.
    Shuffling moves the values among the segments: the share of the shuffles whose correlation is
    at least as large is the probability that luck did it.

    Args:
        masks: (n_groups, n, n_segments) random masks.
        returns: (n_groups, n) their returns; each group is standardised.
        values: (n_segments,) importance; NaN is never shuffled and never counts.
        generator: Source of the shuffles.

    Returns:
        (1 + number of shuffles that do as well) / (1 + 9999), or the share of all orders where
        there are no more than that; None where returns or values are constant.
    """
    known = np.isfinite(values)
    if known.sum() < 2 or np.ptp(values[known]) == 0 or not returns.std(axis=1).any():
        return None
    spread = returns.std(axis=1, keepdims=True)
    standardised = (returns - returns.mean(axis=1, keepdims=True)) / np.where(spread, spread, 1.0)
    own = values[known] - values[known].mean()
    return _share_as_good(_centred(masks[:, :, known]), standardised.ravel(), own, generator)


def half_luck_p(
    masks: NDArray[np.bool_],
    returns: Floats,
    values: Floats,
    half: NDArray[np.bool_],
    repetition: NDArray[np.int64],
    generator: np.random.Generator,
) -> float | None:
    """Return the same for the order within some of the segments, the others being as they are.

    How many of the half a mask keeps, what the others score and the repetition are first
    regressed out of the returns. Where the order in the half is random, p is below any level in
    at most that share of the maps, whatever they know of the other segments.

    Args:
        masks: (n_groups, n, n_segments) random masks.
        returns: (n_groups, n) their returns; what is left of them is scaled alike in each group.
        values: (n_segments,) importance; NaN is never shuffled and never counts.
        half: (n_segments,) which are shuffled.
        repetition: (n_groups, n) whose training seed each return shares.
        generator: Source of the shuffles.

    Returns:
        As of `luck_p`; None also where nothing of the returns is left.
    """
    own, others = np.isfinite(values) & half, np.isfinite(values) & ~half
    if own.sum() < 2 or np.ptp(values[own]) == 0:
        return None
    x, y = _centred(masks), (returns - returns.mean(axis=1, keepdims=True)).ravel()
    same = repetition.ravel()[:, None] == np.unique(repetition)
    score = x[:, others] @ (values[others] - values[others].mean()) if others.any() else 0 * y
    known = np.column_stack([x[:, own].sum(axis=1), score, same])
    left = (y - known @ np.linalg.lstsq(known, y, rcond=None)[0]).reshape(returns.shape)
    if np.abs(left).max() <= 1e-9 * max(np.abs(returns).max(), 1.0):
        return None
    spread = left.std(axis=1, keepdims=True)
    left /= np.where(spread, spread, 1.0)
    return _share_as_good(x[:, own], left.ravel(), values[own] - values[own].mean(), generator)


def _centred(masks: NDArray[np.bool_]) -> Floats:
    """Return masks less the mean of their group, (n_groups n, d)."""
    centred: Floats = masks - masks.mean(axis=1, keepdims=True)
    return centred.reshape(-1, masks.shape[2])


def _share_as_good(x: Floats, y: Floats, own: Floats, generator: np.random.Generator) -> float:
    """Return the share of shuffles of `own` whose scores of x, (n, d), fit y, (n,), as well."""
    least = _correlations(x, y, own[:, None])[0] - 1e-12
    if math.factorial(len(own)) <= N_PERMUTATIONS:
        orders = np.array(list(itertools.permutations(own)))
        return float((_correlations(x, y, orders.T) >= least).mean())
    at_least = 0
    for start in range(0, N_PERMUTATIONS, _AT_ONCE):
        count = min(_AT_ONCE, N_PERMUTATIONS - start)
        shuffled = generator.permuted(np.tile(own, (count, 1)), axis=1).T
        at_least += int((_correlations(x, y, shuffled) >= least).sum())
    return (1 + at_least) / (1 + N_PERMUTATIONS)


def _correlations(x: Floats, y: Floats, values: Floats) -> Floats:
    """Return the correlation of y, (n,), with the scores of each column of values, (n_columns,)."""
    scores = x @ values
    norms = np.linalg.norm(scores, axis=0) * np.linalg.norm(y)
    products = y @ scores
    correlations: Floats = np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)
    return correlations
