"""What estimators work on: masks and returns, block by block."""

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
Chosen = NDArray[np.bool_]

_ROWS_AT_ONCE = 4096
ROUNDING = 1e-12
"""Differences of returns that are rounding errors, relative to the largest return."""


Covers = Literal["training_seeds", "masks"]
"""What intervals hold for: any training seed, or the one that all masks shared."""


class Outliers(NamedTuple):
    """Returns that decide the map.

    Attributes:
        n: How many there are.
        share: Of the variance of the returns.
        example: The return farthest from the others.
    """

    n: int
    share: float
    example: float


@dataclass(frozen=True, eq=False)
class Estimate:
    """The importance of every segment, NaN where a segment was never kept or never masked.

    Attributes:
        importance: (n_segments,) in return units; for the two rise estimators the order only.
        std_error: (n_segments,) standard errors; all NaN where none can be given.
        degrees_of_freedom: (n_segments,) of Student's t for intervals; infinite for the normal
            distribution.
        covers: What the intervals hold for; None where none can be given.
        block_maps: (n_blocks, n_segments) maps of single blocks, where there are two or more.
        covariance: (n_segments, n_segments) of the errors, where a single block gives it.
        rank_noise: Error variance between segments; an error that all share changes no rank.
        shrunk: Whether estimates are drawn towards each other (then their variance is short of
            the truth's by the noise, not long).
        n_waiting: Retrainings in blocks that cannot be used yet.
        outlying: The few returns that decide the map, where there are any.
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
    """Sums over the masks of one block, enough for least squares.

    Each level, the masks of a block that share a training seed or the block itself, has a mean of
    its own, which is taken off.

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
        block: (n,) ascending numbers of the blocks; all alike where every mask has its own
            training seed.
        n_frames: (d,) frames of each segment.
        seeds: What shares a training seed: the masks of a block, pairs of complements (the masks
            2k and 2k + 1 of the design), or no two masks.
        pair: (n,) ascending numbers of the pairs, where these share a training seed.
    """

    packed_masks: NDArray[np.uint8]
    returns: Floats
    block: NDArray[np.int64]
    n_frames: NDArray[np.int64]
    seeds: Literal["block", "pair", "mask"] = "block"
    pair: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, records: Sequence[Record], segments: Segments, masking: Masking) -> "MaskedReturns":
        """Take the successful ones of the design records, which come by index."""
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
        """Length of a mask, d."""
        return len(self.n_frames)

    @property
    def level(self) -> NDArray[np.int64]:
        """(n,) ascending numbers of what has a mean return of its own."""
        return self.block if self.pair is None else self.pair

    @cached_property
    def blocks(self) -> list[slice]:
        """The retrainings of each block."""
        edges = (np.flatnonzero(np.diff(self.block)) + 1).tolist()
        starts, stops = [0, *edges], [*edges, len(self)]
        return [slice(a, b) for a, b in zip(starts, stops, strict=True)]

    @cached_property
    def n_kept(self) -> NDArray[np.int64]:
        """How many masks keep each segment, (d,)."""
        total = np.zeros(self.n_segments, dtype=np.int64)
        for masks, _ in self.chunks(slice(0, len(self))):
            total += masks.sum(axis=0, dtype=np.int64)
        return total

    @property
    def varies(self) -> Chosen:
        """Segments that were both kept and masked, (d,)."""
        return (self.n_kept > 0) & (self.n_kept < len(self))

    def whole_pairs(self) -> "MaskedReturns":
        """Return the masks whose complement succeeded, too; for a training seed for each pair."""
        _, number, counts = np.unique(self.level, return_inverse=True, return_counts=True)
        whole = counts[number] == 2
        return replace(
            self,
            packed_masks=self.packed_masks[whole],
            returns=self.returns[whole],
            block=self.block[whole],
            pair=self.level[whole],
        )

    def chunks(self, rows: slice) -> Iterator[tuple[Floats, Floats]]:
        """Yield masks (m, d) as 0 and 1, and returns (m,), some rows at a time."""
        for start in range(rows.start, rows.stop, _ROWS_AT_ONCE):
            part = slice(start, min(start + _ROWS_AT_ONCE, rows.stop))
            masks = np.unpackbits(self.packed_masks[part], axis=1, count=self.n_segments)
            yield masks.astype(np.float64), self.returns[part]

    def centred_returns(self, rows: slice) -> Floats:
        """Return a block's returns less the mean of their level, rounding errors being 0."""
        returns, (level, counts) = self.returns[rows], self._levels_of(rows)
        centred: Floats = returns - (np.bincount(level, weights=returns) / counts)[level]
        centred[np.abs(centred) <= ROUNDING * np.abs(returns).max()] = 0.0
        return centred

    def centred_masks(self, rows: slice) -> Floats:
        """Return a block's masks less the mean of their level, (n, d)."""
        masks = np.concatenate([part for part, _ in self.chunks(rows)])
        level, counts = self._levels_of(rows)
        sums = np.zeros((len(counts), self.n_segments))
        _add_by_level(sums, masks, level)
        return masks - (sums / counts[:, None])[level]

    def moments(self, rows: slice) -> Moments:
        """Return the sums over one block."""
        d, returns = self.n_segments, self.centred_returns(rows)
        level, counts = self._levels_of(rows)
        xx, xy, sums, done = np.zeros((d, d)), np.zeros(d), np.zeros((len(counts), d)), 0
        for masks, _ in self.chunks(rows):
            own = slice(done, done + len(masks))
            xx += masks.T @ masks
            xy += masks.T @ returns[own]
            _add_by_level(sums, masks, level[own])
            done = own.stop
        xx -= sums.T @ (sums / counts[:, None])
        rounding = ROUNDING * float(np.abs(self.returns[rows]).max())
        return Moments(done, len(counts), xx, xy, float(returns @ returns), rounding)

    def _levels_of(self, rows: slice) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return a block's levels numbered from 0, (n,), and how many masks each has."""
        _, level, counts = np.unique(self.level[rows], return_inverse=True, return_counts=True)
        return level, counts


def _add_by_level(sums: Floats, masks: Floats, level: NDArray[np.int64]) -> None:
    """Add masks, (n, d), to the sums of their ascending levels, (n_levels, d)."""
    starts = np.flatnonzero(np.diff(level, prepend=-1))
    sums[level[starts]] += np.add.reduceat(masks, starts, axis=0)


def rank_noise(covariance: Floats) -> float:
    """Return the expected variance between segments of errors with this covariance, (d, d)."""
    d = len(covariance)
    if d < 2:
        return float("nan")
    return float((np.trace(covariance) - covariance.sum() / d) / (d - 1))


def spread(values: Floats, chosen: Chosen) -> Floats:
    """Return values of the chosen segments as a map over all, NaN elsewhere; last axis."""
    whole = np.full((*values.shape[:-1], len(chosen)), np.nan)
    whole[..., chosen] = values
    return whole
