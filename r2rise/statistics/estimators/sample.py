"""The input and output of estimators: masks with returns, and estimates."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from r2rise.data.segments import Segments
from r2rise.ledger.record import Record, packed_masks
from r2rise.study.parts import Masking

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_CHUNK_SIZE = 4096
ROUNDING = 1e-12
"""Differences of returns up to this share of the largest return are rounding errors."""

Covers = Literal["training_seeds", "masks"]
"""What intervals hold for: any training seed, or the one that all masks share."""


class Outliers(NamedTuple):
    """The few returns that decide a map.

    Attributes:
        n: Number of outliers.
        share: Their share of the variance of the returns.
        example: The return farthest from the others.
    """

    n: int
    share: float
    example: float


@dataclass(frozen=True, eq=False)
class Estimate:
    """The importance of every segment, NaN where a segment was never kept or never masked.

    Attributes:
        importance: (n_segments,) in return units; for the two rise estimators only the order has
            a meaning.
        std_error: (n_segments,) standard errors; all NaN if the estimator gives none.
        degrees_of_freedom: (n_segments,) of Student's t for intervals; infinite for the normal
            distribution.
        covers: What the intervals hold for; None if the estimator gives none.
        block_maps: (n_blocks, n_segments) maps of single blocks; None with fewer than two.
        covariance: (n_segments, n_segments) covariance of the errors, if estimated from a single
            block.
        rank_noise: Error variance between segments. It excludes the error that all segments
            share, which changes no rank.
        shrunk: Whether estimates are shrunk. The variance of importance is then smaller than that
            of the true effects by the noise; otherwise it is larger by the noise.
        n_waiting: Number of retrainings in blocks that cannot be used yet.
        outlying: The few returns that decide the map; None without any.
    """

    importance: Floats
    std_error: Floats
    degrees_of_freedom: Floats
    covers: Covers | None = None
    block_maps: Floats | None = None
    covariance: Floats | None = None
    rank_noise: float = np.nan
    shrunk: bool = False
    n_waiting: int = 0
    outlying: Outliers | None = None


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over the masks of one block that suffice for least squares.

    Masks and returns are centred on the mean of their level: a pair of masks that shares a
    training seed, or else the block.

    Attributes:
        n: Number of masks.
        n_levels: Number of levels.
        xx: (d, d) centred sums of products of the masks.
        xy: (d,) centred sums of products of masks and returns.
        yy: Centred sum of squares of the returns.
        rounding: Effects smaller than this are rounding errors.
    """

    n: int
    n_levels: int
    xx: Floats
    xy: Floats
    yy: float
    rounding: float


@dataclass(frozen=True, eq=False)
class MaskedReturns:
    """The successful design retrainings of a ledger.

    Attributes:
        packed_masks: (n, ceil(d / 8)) uint8, 8 segments a byte.
        returns: (n,) mean return of each retraining.
        block: (n,) ascending block numbers; all 0 if every mask has its own training seed.
        n_frames: (d,) frames of each segment.
        seeds: Which masks share a training seed: those of a block, pairs of complements (the
            masks 2k and 2k + 1 of the design), or none (`mask`).
        pair: (n,) ascending pair numbers, if pairs share a training seed.
    """

    packed_masks: NDArray[np.uint8]
    returns: Floats
    block: NDArray[np.int64]
    n_frames: NDArray[np.int64]
    seeds: Literal["block", "pair", "mask"] = "block"
    pair: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, records: Sequence[Record], segments: Segments, masking: Masking) -> "MaskedReturns":
        """Return masks and returns of the successful design records, which are sorted by index."""
        successful = [record for record in records if record.status == "ok"]
        index = np.array([record.index for record in successful], dtype=np.int64)
        size = masking.block_size or 1
        paired = masking.training_seeds == "pair"
        return cls(
            packed_masks=packed_masks(successful, len(segments)),
            returns=np.array([record.returns.mean() for record in successful]),
            block=index // size if size > 1 else np.zeros_like(index),
            n_frames=segments.n_frames,
            seeds="pair" if paired else "block" if size > 1 else "mask",
            pair=index // 2 if paired else None,
        )

    def __len__(self) -> int:
        return len(self.returns)

    @property
    def n_segments(self) -> int:
        """Number of segments, d, which is the length of a mask."""
        return len(self.n_frames)

    @property
    def level(self) -> NDArray[np.int64]:
        """(n,) ascending numbers of the pair or block on whose mean a mask is centred."""
        return self.block if self.pair is None else self.pair

    @cached_property
    def blocks(self) -> list[slice]:
        """Rows of each block."""
        edges = (np.flatnonzero(np.diff(self.block)) + 1).tolist()
        starts, stops = [0, *edges], [*edges, len(self)]
        return [slice(a, b) for a, b in zip(starts, stops, strict=True)]

    @cached_property
    def n_kept(self) -> NDArray[np.int64]:
        """Number of masks that keep each segment, (d,)."""
        n_kept = np.zeros(self.n_segments, dtype=np.int64)
        for masks, _ in self.chunks(slice(0, len(self))):
            n_kept += masks.sum(axis=0, dtype=np.int64)
        return n_kept

    @property
    def varies(self) -> Bools:
        """Whether a segment is both kept and masked by some mask, (d,)."""
        return (self.n_kept > 0) & (self.n_kept < len(self))

    def whole_pairs(self) -> "MaskedReturns":
        """Return the pairs of which both masks succeeded.

        Only for designs whose pairs share a training seed.
        """
        _, level, counts = np.unique(self.level, return_inverse=True, return_counts=True)
        is_whole = counts[level] == 2
        return replace(
            self,
            packed_masks=self.packed_masks[is_whole],
            returns=self.returns[is_whole],
            block=self.block[is_whole],
            pair=self.level[is_whole],
        )

    def chunks(self, rows: slice) -> Iterator[tuple[Floats, Floats]]:
        """Yield masks, (m, d) of 0 and 1, and returns, (m,), of consecutive chunks of rows."""
        for start in range(rows.start, rows.stop, _CHUNK_SIZE):
            part = slice(start, min(start + _CHUNK_SIZE, rows.stop))
            masks = np.unpackbits(self.packed_masks[part], axis=1, count=self.n_segments)
            yield masks.astype(np.float64), self.returns[part]

    def centred_returns(self, rows: slice) -> Floats:
        """Return a block's returns minus the mean of their level, (n,); 0 for rounding errors."""
        returns, (level, counts) = self.returns[rows], self._levels_of(rows)
        centred: Floats = returns - (np.bincount(level, weights=returns) / counts)[level]
        centred[np.abs(centred) <= ROUNDING * np.abs(returns).max()] = 0.0
        return centred

    def centred_masks(self, rows: slice) -> Floats:
        """Return a block's masks minus the mean of their level, (n, d)."""
        masks = np.concatenate([part for part, _ in self.chunks(rows)])
        level, counts = self._levels_of(rows)
        sums = np.zeros((len(counts), self.n_segments))
        _add_by_level(sums, masks, level)
        return masks - (sums / counts[:, None])[level]

    def moments(self, rows: slice) -> Moments:
        """Return the sums over one block, accumulated in chunks."""
        d, returns = self.n_segments, self.centred_returns(rows)
        level, counts = self._levels_of(rows)
        xx, xy, sums, n_done = np.zeros((d, d)), np.zeros(d), np.zeros((len(counts), d)), 0
        for masks, _ in self.chunks(rows):
            part = slice(n_done, n_done + len(masks))
            xx += masks.T @ masks
            xy += masks.T @ returns[part]
            _add_by_level(sums, masks, level[part])
            n_done = part.stop
        # Centring the masks on their level means: X^T X - sum over levels of n m m^T. For xy the
        # centred returns suffice, since they sum to 0 in each level.
        xx -= sums.T @ (sums / counts[:, None])
        rounding = ROUNDING * float(np.abs(self.returns[rows]).max())
        return Moments(n_done, len(counts), xx, xy, float(returns @ returns), rounding)

    def _levels_of(self, rows: slice) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return a block's levels numbered from 0, (n,), and their sizes, (n_levels,)."""
        _, level, counts = np.unique(self.level[rows], return_inverse=True, return_counts=True)
        return level, counts


def _add_by_level(sums: Floats, masks: Floats, level: NDArray[np.int64]) -> None:
    """Add masks, (n, d), in place to the sums of their ascending levels, (n_levels, d).

    The first level may continue one of the previous chunk.
    """
    starts = np.flatnonzero(np.diff(level, prepend=-1))
    sums[level[starts]] += np.add.reduceat(masks, starts, axis=0)


def rank_noise(covariance: Floats) -> float:
    """Return the expected sample variance over segments of errors with a covariance, (d, d)."""
    d = len(covariance)
    if d < 2:
        return float("nan")
    return float((np.trace(covariance) - covariance.sum() / d) / (d - 1))


def expand(values: Floats, varying: Bools) -> Floats:
    """Return values of the varying segments, along the last axis, as a map with NaN elsewhere."""
    full = np.full((*values.shape[:-1], len(varying)), np.nan)
    full[..., varying] = values
    return full
