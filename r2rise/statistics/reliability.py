"""Reliability: the rank correlation to expect between a map and its repetition."""

from typing import Literal, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from r2rise.statistics.estimators.moderation import moderated
from r2rise.statistics.estimators.sample import Bools, Estimate, Floats

_MAX_GRID, _N_DRAWS, _N_STEPS = 200, 100, 300
"""Most distinct effects, number of pairs of maps, and steps of expectation-maximisation."""


class Reliability(NamedTuple):
    """How well the ranking would be reproduced with other masks and seeds, 0 to 1.

    Attributes:
        value: Expected rank correlation with a study of the same design; None when unknown.
        method: `blocks` (blocks compared with each other) or `model` (from the standard errors).
    """

    value: float | None
    method: Literal["blocks", "model"]


def reliability(estimate: Estimate) -> Reliability:
    """Return the rank correlation to expect between two independent studies of this size.

    True effects are drawn from their posterior, whose prior is estimated by nonparametric maximum
    likelihood (Kiefer and Wolfowitz 1956). For each draw, two maps are simulated with the map's
    standard errors. The result is the mean Spearman correlation between the two. Errors that only
    scale a block's map change no rank and are excluded.

    Maps of ridge regression have no standard errors. Their blocks are compared instead: the
    reliability is B r / (1 + (B - 1) r) (Spearman 1910, Brown 1910), where r is the mean Spearman
    correlation between the maps of B single blocks. With one block it is
    var(importance) / (var(importance) + noise).

    A block whose masks all have the same return ranks nothing and is left out. Where a few
    outlying returns decide the map, the reliability is unknown.
    """
    # One thread, as in `estimate`: results are the same on any number of cores.
    with threadpool_limits(1):
        return _reliability(estimate)


def _reliability(estimate: Estimate) -> Reliability:
    finite = np.isfinite(estimate.importance)
    is_unknown = finite.sum() < 3 or estimate.outlying is not None
    if estimate.block_maps is None:
        return Reliability(
            None if is_unknown else _one_block_reliability(estimate, finite), "model"
        )
    if is_unknown:
        return Reliability(None, "blocks")
    maps = estimate.block_maps[:, finite]
    # A constant map has no ranks to correlate.
    return Reliability(
        _blocks_reliability(maps[np.ptp(maps, axis=1) > 0], estimate.shrunk), "blocks"
    )


def _one_block_reliability(estimate: Estimate, finite: Bools) -> float | None:
    if estimate.shrunk or estimate.covers is None:
        return _noise_reliability(estimate, finite)
    return _expected_rank_correlation(estimate.importance[finite], estimate.std_error[finite])


def _blocks_reliability(maps: Floats, shrunk: bool) -> float | None:
    """Return the reliability of the mean of block maps, (n_blocks, d), none of them constant."""
    n_blocks = len(maps)
    if n_blocks < 2:
        return None
    agreement = _rank_agreement(maps)
    r = float(agreement.mean())
    if r <= 0:
        return 0.0
    if shrunk:
        # Spearman-Brown: the reliability of the mean of n_blocks equally reliable maps.
        return n_blocks * r / (1 + (n_blocks - 1) * r)
    return _expected_rank_correlation(maps.mean(axis=0), _rank_errors(maps, agreement))


def _rank_agreement(maps: Floats) -> Floats:
    """Return each block's mean Spearman correlation with the others, (n_blocks,)."""
    from scipy.stats import rankdata

    ranks = rankdata(maps, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(ranks, axis=1)
    correlations = (ranks @ ranks.T) / np.outer(norms, norms)
    # Each block correlates with itself by 1.
    agreement: Floats = (correlations.sum(axis=0) - 1) / (len(maps) - 1)
    return agreement


def _rank_errors(maps: Floats, agreement: Floats) -> Floats:
    """Return standard errors, (d,), without the part that scales whole block maps.

    A block with a better policy has larger effects in the same order. This spread changes no rank.
    It is removed only as far as the block's ranks agree with the others': a block with large
    effects in a different order is an outlier, not a scaled copy.
    """
    mean = maps.mean(axis=0)
    squares = float(mean @ mean)
    if squares == 0.0:
        return moderated(maps).std_error
    # The least-squares factor of each block map over the mean, minus 1.
    scales = (maps @ mean / squares - 1) * np.maximum(agreement, 0.0)
    return moderated(maps - np.outer(scales, mean)).std_error


def _expected_rank_correlation(importance: Floats, std_error: Floats) -> float | None:
    """Return the expected Spearman correlation of two maps with these errors, (d,) each.

    Monte Carlo: effects from their posterior, two noisy maps of them, the correlation of their
    ranks. None where importance is constant.
    """
    from scipy.stats import rankdata

    value_range = float(np.ptp(importance))
    if value_range == 0.0:
        return None
    # Errors of 0 would give a likelihood of 0 everywhere off the grid.
    errors = np.maximum(std_error, 1e-6 * value_range)
    # The support of the maximum-likelihood prior lies within the range of the estimates.
    grid = np.unique(np.quantile(importance, np.linspace(0, 1, min(len(importance), _MAX_GRID))))
    generator = np.random.default_rng(0)  # fixed, so that the same map has the same reliability
    cumulative = _posterior_effects(importance, errors, grid).cumsum(axis=1)
    products = np.zeros(3)
    for _ in range(_N_DRAWS):
        # Inverse-CDF sampling; cumulative sums may end just below 1.
        uniform = generator.random((len(importance), 1))
        effects = grid[np.minimum((cumulative < uniform).sum(axis=1), len(grid) - 1)]
        noise = errors * generator.standard_normal((2, len(importance)))
        # Centred ranks: their correlation is Spearman's.
        first, second = rankdata(effects + noise, axis=1) - (len(importance) + 1) / 2
        products += first @ second, first @ first, second @ second
    return max(0.0, float(products[0] / np.sqrt(products[1] * products[2])))


def _posterior_effects(importance: Floats, errors: Floats, grid: Floats) -> Floats:
    """Return the posterior probability of each effect on the grid, (d, n_grid), for each segment.

    The prior, shared by all segments, maximises the likelihood, by expectation-maximisation: each
    step replaces the prior with the mean posterior (Laird 1978).
    """
    log_likelihood = -0.5 * ((importance[:, None] - grid) / errors[:, None]) ** 2
    # Relative to each segment's maximum: a common factor cancels, and none underflows.
    likelihood = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True))
    weights = np.full(len(grid), 1 / len(grid))
    for _ in range(_N_STEPS):
        weights *= (likelihood / (likelihood @ weights)[:, None]).mean(axis=0)
    joint = likelihood * weights
    posterior: Floats = joint / joint.sum(axis=1, keepdims=True)
    return posterior


def _noise_reliability(estimate: Estimate, finite: Bools) -> float | None:
    """Return the share of signal in the variance of importance.

    The variance of an unbiased map is signal plus noise. That of a shrunk (ridge) map is of signal
    alone: posterior means vary less than the truth by the posterior variance, which is the noise.
    """
    variance = float(np.var(estimate.importance[finite], ddof=1))
    noise = estimate.rank_noise
    if not np.isfinite(noise) or variance + noise <= 0:
        return None
    if estimate.shrunk:
        return variance / (variance + noise)
    return max(0.0, 1 - noise / variance) if variance > 0 else None
