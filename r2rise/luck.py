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
    centred = masks[:, :, known] - masks[:, :, known].mean(axis=1, keepdims=True)
    spread = returns.std(axis=1, keepdims=True)
    standardised = (returns - returns.mean(axis=1, keepdims=True)) / np.where(spread, spread, 1.0)
    x, y = centred.reshape(-1, int(known.sum())), standardised.ravel()
    own = values[known] - values[known].mean()
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
