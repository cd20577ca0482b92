"""What estimators work on: masks and returns, block by block."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from r2rise.ledger import Record, packed_masks
from r2rise.segments import Segments

Floats = NDArray[np.float64]
Chosen = NDArray[np.bool_]

_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class Estimate:
    """The importance of every segment, NaN where a segment was never kept or never masked.

    Attributes:
        importance: (n_segments,) in return units; for the two rise estimators the order only.
        std_error: (n_segments,) standard errors.
        degrees_of_freedom: Of Student's t for intervals; infinite for the normal distribution.
        block_maps: (n_blocks, n_segments) maps of single blocks, where there are two or more.
        rank_noise: Error variance between segments; an error that all share changes no rank.
        shrunk: Whether estimates are drawn towards each other (then their variance is short of
            the truth's by the noise, not long).
        n_waiting: Retrainings in blocks that cannot be used yet.
    """

    importance: Floats
    std_error: Floats
    degrees_of_freedom: float = np.inf
    block_maps: Floats | None = None
    rank_noise: float = np.nan
    shrunk: bool = False
    n_waiting: int = 0


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over the masks of one block, enough for least squares with a free block mean.

    Attributes:
        n: Number of masks.
        mask_mean: (d,) share of the masks that keep each segment.
        return_mean: Mean return.
        xx: (d, d) centred sums of products of the masks.
        xy: (d,) centred sums of products of masks and returns.
        yy: Centred sum of squares of the returns.
    """

    n: int
    mask_mean: Floats
    return_mean: float
    xx: Floats
    xy: Floats
    yy: float


@dataclass(frozen=True, eq=False)
class MaskedReturns:
    """The successful design retrainings of a ledger.

    Attributes:
        packed_masks: (n, ceil(d / 8)) uint8, 8 segments a byte.
        returns: (n,) mean return of each retraining.
        block: (n,) ascending numbers of the blocks; all alike where every mask has its own
            training seed.
        n_frames: (d,) frames of each segment.
    """

    packed_masks: NDArray[np.uint8]
    returns: Floats
    block: NDArray[np.int64]
    n_frames: NDArray[np.int64]

    @classmethod
    def of(cls, records: Sequence[Record], segments: Segments, block_size: int) -> "MaskedReturns":
        """Take the successful ones of the design records, which come by index."""
        successful = [record for record in records if record.status == "ok"]
        index = np.array([record.index for record in successful], dtype=np.int64)
        return cls(
            packed_masks=packed_masks(successful, len(segments)),
            returns=np.array([record.returns.mean() for record in successful]),
            block=index // block_size if block_size > 1 else np.zeros_like(index),
            n_frames=segments.n_frames,
        )

    def __len__(self) -> int:
        return len(self.returns)

    @property
    def n_segments(self) -> int:
        """Length of a mask, d."""
        return len(self.n_frames)

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

    def chunks(self, rows: slice) -> Iterator[tuple[Floats, Floats]]:
        """Yield masks (m, d) as 0 and 1, and returns (m,), some rows at a time."""
        for start in range(rows.start, rows.stop, _ROWS_AT_ONCE):
            part = slice(start, min(start + _ROWS_AT_ONCE, rows.stop))
            masks = np.unpackbits(self.packed_masks[part], axis=1, count=self.n_segments)
            yield masks.astype(np.float64), self.returns[part]

    def moments(self, rows: slice) -> Moments:
        """Return the sums over one block."""
        d, n = self.n_segments, rows.stop - rows.start
        return_mean = float(self.returns[rows].mean())
        mask_sum, xx, xy = np.zeros(d), np.zeros((d, d)), np.zeros(d)
        for masks, returns in self.chunks(rows):
            mask_sum += masks.sum(axis=0)
            xx += masks.T @ masks
            xy += masks.T @ (returns - return_mean)
        yy = float(((self.returns[rows] - return_mean) ** 2).sum())
        xx -= np.outer(mask_sum, mask_sum) / n
        return Moments(n, mask_sum / n, return_mean, xx, xy, yy)


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
