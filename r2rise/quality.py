"""How far an importance map can be trusted."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from r2rise.estimators.moderation import moderated
from r2rise.estimators.sample import Chosen, Estimate, Floats, MaskedReturns
from r2rise.ledger import EMPTY_MASK, Record, packed_masks

N_PERMUTATIONS = 999
_PERMUTATIONS_AT_ONCE = 100
_FAILURE_P = 0.01
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


def equal_importance_p(sample: MaskedReturns, seed: int) -> float | None:
    """Test whether all frames are equally important, by permutation.

    H0: all effects are equal (not: all zero), for each frame. Block means and each block's
    regression on frames kept are removed; the residuals are permuted within blocks, 999 times.
    The statistic is the largest deviation of a segment's effect from what its frames would have
    by themselves, in standard errors (from the spread between blocks where there are two or more).

    Args:
        sample: Masks and returns.
        seed: Seed of the permutations.

    Returns:
        (1 + number of permutations at least as extreme) / (1 + 999), or None where fewer than 2
        segments vary or the returns do not.
    """
    chosen = sample.varies
    if chosen.sum() < 2 or not any(sample.centred_returns(rows).any() for rows in sample.blocks):
        return None
    if sample.pair is not None:
        sample = sample.whole_pairs()
    generator = np.random.default_rng(seed)
    totals = _Totals(int(chosen.sum()))
    for rows in sample.blocks:
        totals.add_block(_block_scores(sample, rows, chosen, generator))
    observed, *permuted = totals.statistics()
    at_least = int((np.array(permuted) >= observed * (1 - 1e-9)).sum())
    return (1 + at_least) / (1 + N_PERMUTATIONS)


class _Totals:
    """Sums over blocks of each segment's score, (d, n_columns); column 0 is not permuted."""

    def __init__(self, n_segments: int) -> None:
        shape = (n_segments, 1 + N_PERMUTATIONS)
        self._scores = np.zeros(shape)
        self._score_squares = np.zeros(shape)
        self._weighted_scores = np.zeros(shape)
        self._weights = np.zeros((n_segments, 1))
        self._weight_squares = np.zeros((n_segments, 1))
        self._residual_squares = np.zeros(shape[1])
        self._n_blocks = 0

    def add_block(self, block: "_BlockScores") -> None:
        self._scores += block.scores
        self._score_squares += block.scores**2
        self._weighted_scores += block.scores * block.weights
        self._weights += block.weights
        self._weight_squares += block.weights**2
        self._residual_squares += block.residual_squares
        self._n_blocks += 1

    def statistics(self) -> Floats:
        """Return for each column the largest deviation in standard errors, (n_columns,)."""
        variance = self._residual_squares
        if self._n_blocks > 1:
            effects = self._scores / self._weights
            spread = (
                self._score_squares
                - 2 * effects * self._weighted_scores
                + effects**2 * self._weight_squares
            ) / self._weights
            variance = self._n_blocks / (self._n_blocks - 1) * spread.mean(axis=0)
        largest: Floats = np.abs(self._scores / np.sqrt(self._weights)).max(axis=0)
        largest /= np.sqrt(np.maximum(variance, np.finfo(float).tiny))
        return largest


class _BlockScores(NamedTuple):
    """Products of a block's masks and residuals, after the regression on frames kept.

    A segment's effect is score / weight: its deviation from equal importance.

    Attributes:
        scores: (d, n_columns).
        weights: (d, 1) sums of squares of the masks.
        residual_squares: (n_columns,) sums of squares of the residuals.
    """

    scores: Floats
    weights: Floats
    residual_squares: Floats


def _block_scores(
    sample: MaskedReturns, rows: slice, chosen: Chosen, generator: np.random.Generator
) -> _BlockScores:
    frames_kept = np.concatenate(
        [masks @ sample.n_frames[chosen] for _, masks in _mask_chunks(sample, rows, chosen)]
    )
    frames_kept -= frames_kept.mean()
    squares = max(float(frames_kept @ frames_kept), np.finfo(float).tiny)
    shared = _products(sample, rows, chosen, frames_kept[:, None])
    residuals = sample.centred_returns(rows)
    residuals -= frames_kept * (frames_kept @ residuals) / squares
    scores = [_products(sample, rows, chosen, residuals[:, None])]
    residual_squares = [np.array([residuals @ residuals])]
    for start in range(0, N_PERMUTATIONS, _PERMUTATIONS_AT_ONCE):
        count = min(_PERMUTATIONS_AT_ONCE, N_PERMUTATIONS - start)
        permuted = _permuted(residuals, count, sample.pair is not None, generator)
        along_frames = frames_kept @ permuted
        products = _products(sample, rows, chosen, permuted)
        scores.append(products - shared * along_frames / squares)
        residual_squares.append(residual_squares[0] - along_frames**2 / squares)
    n_kept = _products(sample, rows, chosen, np.ones((len(residuals), 1)))
    weights = n_kept - n_kept**2 / len(residuals) - shared**2 / squares
    return _BlockScores(
        np.concatenate(scores, axis=1),
        np.maximum(weights, np.finfo(float).eps * len(residuals)),
        np.concatenate(residual_squares),
    )


def _permuted(
    residuals: Floats, count: int, paired: bool, generator: np.random.Generator
) -> Floats:
    """Return permutations of a block's residuals, (n, count); of whole pairs, if they are paired.

    The residuals of a pair are each other's negative: it moves as a whole, either way round.
    """
    if not paired:
        return generator.permuted(np.tile(residuals, (count, 1)), axis=1).T
    pairs = generator.permuted(np.tile(residuals[::2], (count, 1)), axis=1)
    pairs *= generator.choice([-1.0, 1.0], size=pairs.shape)
    return np.stack([pairs, -pairs], axis=2).reshape(count, -1).T


def _products(sample: MaskedReturns, rows: slice, chosen: Chosen, columns: Floats) -> Floats:
    """Return the sums of products of masks and centred columns (n, n_columns), (d, n_columns)."""
    total = np.zeros((int(chosen.sum()), columns.shape[1]))
    for start, masks in _mask_chunks(sample, rows, chosen):
        total += masks.T @ columns[start : start + len(masks)]
    return total


def _mask_chunks(
    sample: MaskedReturns, rows: slice, chosen: Chosen
) -> Iterator[tuple[int, Floats]]:
    start = 0
    for masks, _ in sample.chunks(rows):
        yield start, masks[:, chosen]
        start += len(masks)


def failures_follow_frames_kept(records: Sequence[Record], n_frames: NDArray[np.int64]) -> bool:
    """Say whether failures go with the number of frames kept (Mann and Whitney 1947, p < 0.01).

    Masks that keep nothing do not count.
    """
    from scipy.stats import mannwhitneyu

    trained = [record for record in records if record.reason != EMPTY_MASK]
    failed = np.array([record.status == "failed" for record in trained], dtype=bool)
    if failed.sum() < 2 or failed.all():
        return False
    packed = packed_masks(trained, len(n_frames))
    kept = np.unpackbits(packed, axis=1, count=len(n_frames)) @ n_frames
    if np.ptp(kept) == 0:
        return False
    return bool(mannwhitneyu(kept[failed], kept[~failed]).pvalue < _FAILURE_P)
