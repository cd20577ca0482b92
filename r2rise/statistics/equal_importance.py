"""Permutation test of whether all frames are equally important."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from r2rise.statistics.estimators.sample import Bools, Floats, MaskedReturns

N_PERMUTATIONS = 999
_CHUNK_SIZE = 100


def equal_importance_p(sample: MaskedReturns, seed: int) -> float | None:
    """Test whether all frames are equally important, by permutation.

    H0: the effect of every frame is the same (not necessarily zero). Under H0 a mask's expected
    return depends only on its block and on the number of frames kept, so both are regressed out.
    The residuals are permuted within blocks (Freedman and Lane 1983), 999 times. The statistic is
    the largest deviation of a segment's effect from its share of the common effect per frame, in
    standard errors. These come from the spread between blocks where there are two or more.

    Args:
        sample: Masks and returns.
        seed: Seed of the permutations.

    Returns:
        (1 + number of permutations at least as extreme) / (1 + 999), or None where fewer than 2
        segments vary or the returns do not.
    """
    varying = sample.varies
    if varying.sum() < 2 or not any(sample.centred_returns(rows).any() for rows in sample.blocks):
        return None
    if sample.pair is not None:
        # Half a pair has no residual: it would be centred on its own return.
        sample = sample.whole_pairs()
    generator = np.random.default_rng(seed)
    score_sums = _ScoreSums(int(varying.sum()))
    for rows in sample.blocks:
        score_sums.add_block(_block_scores(sample, rows, varying, generator))
    observed, *permuted = score_sums.statistics()
    # Ties count as extreme even if rounding separates them; this keeps the test valid.
    n_extreme = int((np.array(permuted) >= observed * (1 - 1e-9)).sum())
    return (1 + n_extreme) / (1 + N_PERMUTATIONS)


class _ScoreSums:
    """Sums over blocks of each segment's score, (d, n_columns); column 0 is not permuted.

    Sums of squares and products suffice for the spread between blocks, so that blocks need not be
    kept.
    """

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
        # With one block the degrees of freedom are the same in all columns, and cancel.
        variance = self._residual_squares
        if self._n_blocks > 1:
            # Cluster-robust (Liang and Zeger 1986): sum over blocks of (score - effect * weight)^2,
            # expanded. Its mean over segments is steadier than each segment's own with few blocks.
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
    """Products of a block's masks and residuals, after regression on the number of frames kept.

    A segment's effect is score / weight: its deviation from equal importance.

    Attributes:
        scores: (d, n_columns).
        weights: (d, 1) sums of squares of the residual masks.
        residual_squares: (n_columns,) sums of squares of the residuals.
    """

    scores: Floats
    weights: Floats
    residual_squares: Floats


def _block_scores(
    sample: MaskedReturns, rows: slice, varying: Bools, generator: np.random.Generator
) -> _BlockScores:
    frames_kept = np.concatenate(
        [masks @ sample.n_frames[varying] for _, masks in _mask_chunks(sample, rows, varying)]
    )
    frames_kept -= frames_kept.mean()
    frames_squares = max(float(frames_kept @ frames_kept), np.finfo(float).tiny)
    mask_frames = _products(sample, rows, varying, frames_kept[:, None])
    residuals = sample.centred_returns(rows)
    residuals -= frames_kept * (frames_kept @ residuals) / frames_squares
    scores = [_products(sample, rows, varying, residuals[:, None])]
    residual_squares = [np.array([residuals @ residuals])]
    for start in range(0, N_PERMUTATIONS, _CHUNK_SIZE):
        count = min(_CHUNK_SIZE, N_PERMUTATIONS - start)
        permuted = _permutations(residuals, count, sample.pair is not None, generator)
        frames_products = frames_kept @ permuted
        # A permuted column correlates with the number of frames kept again. Regressing that out of
        # the products equals regressing it out of the masks (Frisch, Waugh and Lovell).
        products = _products(sample, rows, varying, permuted)
        scores.append(products - mask_frames * frames_products / frames_squares)
        residual_squares.append(residual_squares[0] - frames_products**2 / frames_squares)
    n_kept = _products(sample, rows, varying, np.ones((len(residuals), 1)))
    weights = n_kept - n_kept**2 / len(residuals) - mask_frames**2 / frames_squares
    # A segment whose mask is a function of the number of frames kept has score 0 and weight 0,
    # up to rounding; the floor keeps its effect 0.
    return _BlockScores(
        np.concatenate(scores, axis=1),
        np.maximum(weights, np.finfo(float).eps * len(residuals)),
        np.concatenate(residual_squares),
    )


def _permutations(
    residuals: Floats, count: int, paired: bool, generator: np.random.Generator
) -> Floats:
    """Return permutations of a block's residuals, (n, count); of whole pairs if they are paired.

    The two residuals of a pair are each other's negative, since each pair is centred on its own
    mean. Therefore pairs are exchangeable, and so is the order within a pair.
    """
    if not paired:
        return generator.permuted(np.tile(residuals, (count, 1)), axis=1).T
    pairs = generator.permuted(np.tile(residuals[::2], (count, 1)), axis=1)
    pairs *= generator.choice([-1.0, 1.0], size=pairs.shape)
    return np.stack([pairs, -pairs], axis=2).reshape(count, -1).T


def _products(sample: MaskedReturns, rows: slice, varying: Bools, columns: Floats) -> Floats:
    """Return masks^T @ columns, (d, n_columns), of centred columns, (n, n_columns), in chunks."""
    total = np.zeros((int(varying.sum()), columns.shape[1]))
    for start, masks in _mask_chunks(sample, rows, varying):
        total += masks.T @ columns[start : start + len(masks)]
    return total


def _mask_chunks(
    sample: MaskedReturns, rows: slice, varying: Bools
) -> Iterator[tuple[int, Floats]]:
    start = 0
    for masks, _ in sample.chunks(rows):
        yield start, masks[:, varying]
        start += len(masks)
