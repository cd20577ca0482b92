"""Are all frames equally important? A permutation test."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from r2rise.statistics.estimators.sample import Chosen, Floats, MaskedReturns

N_PERMUTATIONS = 999
_PERMUTATIONS_AT_ONCE = 100


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
