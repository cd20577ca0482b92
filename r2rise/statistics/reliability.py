"""How much of a ranking would come back with other masks and seeds."""

from typing import Literal, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from r2rise.statistics.estimators.moderation import moderated
from r2rise.statistics.estimators.sample import Chosen, Estimate, Floats

_GRID, _DRAWS, _STEPS = 200, 100, 300
"""Distinct effects at most, pairs of maps, and steps of expectation-maximisation."""


class Reliability(NamedTuple):
    """How much of the ranking would come back with other masks and seeds, 0 to 1.

    Attributes:
        value: Expected rank correlation with an equal study, or None when it is unknown.
        method: `blocks` (blocks compared with each other) or `model` (from the standard errors).
    """

    value: float | None
    method: Literal["blocks", "model"]


def reliability(estimate: Estimate) -> Reliability:
    """Return the rank correlation to expect between two independent studies of this size.

    True effects are drawn from what the data say of them (their distribution estimated by
    nonparametric maximum likelihood, Kiefer and Wolfowitz 1956), two maps of each draw with the
    map's standard errors, and Spearman's correlation between these is averaged. Errors that only
    scale a block's map change no rank and do not count.

    Maps without standard errors, those of ridge regression, are compared block by block instead:
    B r / (1 + (B - 1) r) (Spearman 1910, Brown 1910), r the mean Spearman correlation between the
    maps of B single blocks; with one block var(importance) / (var(importance) + noise).

    A block whose masks all have the same return ranks nothing and is left out. Where a few returns
    far from all others decide the map, what another study would have is unknown.
    """
    # One thread, as in `estimate`: the same bits on any number of cores.
    with threadpool_limits(1):
        return _reliability(estimate)


def _reliability(estimate: Estimate) -> Reliability:
    known = np.isfinite(estimate.importance)
    unknown = known.sum() < 3 or estimate.outlying is not None
    if estimate.block_maps is None:
        return Reliability(None if unknown else _of_one_block(estimate, known), "model")
    if unknown:
        return Reliability(None, "blocks")
    maps = estimate.block_maps[:, known]
    return Reliability(_of_blocks(maps[np.ptp(maps, axis=1) > 0], estimate.shrunk), "blocks")


def _of_one_block(estimate: Estimate, known: Chosen) -> float | None:
    if estimate.shrunk or estimate.covers is None:
        return _from_noise(estimate, known)
    return _between(estimate.importance[known], estimate.std_error[known])


def _of_blocks(maps: Floats, shrunk: bool) -> float | None:
    """Return the reliability of the mean of block maps, (n_blocks, d), none of them constant."""
    n_blocks = len(maps)
    if n_blocks < 2:
        return None
    agreement = _agreement(maps)
    r = float(agreement.mean())
    if r <= 0:
        return 0.0
    if shrunk:
        return n_blocks * r / (1 + (n_blocks - 1) * r)
    return _between(maps.mean(axis=0), _rank_errors(maps, agreement))


def _agreement(maps: Floats) -> Floats:
    """Return each block's mean Spearman correlation with the others, (n_blocks,)."""
    from scipy.stats import rankdata

    ranks = rankdata(maps, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(ranks, axis=1)
    correlations = (ranks @ ranks.T) / np.outer(norms, norms)
    agreement: Floats = (correlations.sum(axis=0) - 1) / (len(maps) - 1)
    return agreement


def _rank_errors(maps: Floats, agreement: Floats) -> Floats:
    """Return standard errors less what scales whole block maps, as far as their ranks agree.

    A block that stands out and ranks segments as no other does is an outlier, not a larger copy.
    """
    mean = maps.mean(axis=0)
    squares = float(mean @ mean)
    if squares == 0.0:
        return moderated(maps).std_error
    scales = (maps @ mean / squares - 1) * np.maximum(agreement, 0.0)
    return moderated(maps - np.outer(scales, mean)).std_error


def _between(importance: Floats, std_error: Floats) -> float | None:
    """Return the expected Spearman correlation of two maps with these errors, (d,) each."""
    from scipy.stats import rankdata

    reach = float(np.ptp(importance))
    if reach == 0.0:
        return None
    errors = np.maximum(std_error, 1e-6 * reach)
    grid = np.unique(np.quantile(importance, np.linspace(0, 1, min(len(importance), _GRID))))
    generator = np.random.default_rng(0)  # the same map has the same reliability
    shares = _effects_given_data(importance, errors, grid).cumsum(axis=1)
    products = np.zeros(3)
    for _ in range(_DRAWS):
        uniform = generator.random((len(importance), 1))
        effects = grid[np.minimum((shares < uniform).sum(axis=1), len(grid) - 1)]
        noise = errors * generator.standard_normal((2, len(importance)))
        first, second = rankdata(effects + noise, axis=1) - (len(importance) + 1) / 2
        products += first @ second, first @ first, second @ second
    return max(0.0, float(products[0] / np.sqrt(products[1] * products[2])))


def _effects_given_data(importance: Floats, errors: Floats, grid: Floats) -> Floats:
    """Return the probability of each effect on the grid for each segment, (d, n_grid).

    The distribution of all effects maximises the likelihood (expectation-maximisation).
    """
    log_likelihood = -0.5 * ((importance[:, None] - grid) / errors[:, None]) ** 2
    likelihood = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True))
    weights = np.full(len(grid), 1 / len(grid))
    for _ in range(_STEPS):
        weights *= (likelihood / (likelihood @ weights)[:, None]).mean(axis=0)
    joint = likelihood * weights
    posterior: Floats = joint / joint.sum(axis=1, keepdims=True)
    return posterior


def _from_noise(estimate: Estimate, known: Chosen) -> float | None:
    """Return 1 - noise / var(importance); shrunk maps lack the noise in their variance."""
    variance = float(np.var(estimate.importance[known], ddof=1))
    noise = estimate.rank_noise
    if not np.isfinite(noise) or variance + noise <= 0:
        return None
    if estimate.shrunk:
        return variance / (variance + noise)
    return max(0.0, 1 - noise / variance) if variance > 0 else None
