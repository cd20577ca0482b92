"""Segments: runs of consecutive frames that are masked together."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from r2rise.errors import StudyError
from r2rise.study.parts import Masking

FINEST_SEGMENT_LENGTH = 10
"""Length in frames of the shortest segments that `auto` chooses (the paper's grid cell)."""

MIN_SEGMENTS = 4
"""Fewest segments for a pilot; `auto` avoids longer segments that would give fewer."""


class Segment(NamedTuple):
    """Frames `start` to `stop` (exclusive) of one demonstration."""

    demonstration: int
    start: int
    stop: int


@runtime_checkable
class HasSegment(Protocol):
    """What is about a segment, such as a row of an importance map."""

    @property
    def segment(self) -> Segment:
        """The segment."""


AnySegment = Segment | HasSegment
"""A segment, or a row of a map."""


@dataclass(frozen=True, eq=False)
class Segments:
    """All segments of a set of demonstrations, in order; every frame is in exactly one.

    Attributes:
        demonstration: (n_segments,) int64, demonstration of each segment.
        start: (n_segments,) int64, first frame within the demonstration.
        stop: (n_segments,) int64, one past the last frame.
    """

    demonstration: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]

    @classmethod
    def of(cls, lengths: NDArray[np.int64], masking: Masking) -> "Segments":
        """Cut demonstrations into segments.

        Args:
            lengths: (n_demos,) frames of each demonstration.
            masking: Segment length or boundaries.

        Raises:
            StudyError: When custom boundaries do not fit the demonstrations, or the segment length
                is still `auto`.
        """
        if masking.boundaries is not None:
            return cls._from_starts(lengths, masking.boundaries)
        if masking.segment_length == "auto":
            raise StudyError("masking.segment_length is still 'auto': resolve the study first.")
        is_whole = masking.segment_length in ("all", None)
        steps = lengths if is_whole else np.full(len(lengths), masking.segment_length)
        return cls._from_starts(
            lengths,
            tuple(
                tuple(range(0, int(length), int(step)))
                for length, step in zip(lengths, steps, strict=True)
            ),
        )

    @classmethod
    def _from_starts(
        cls, lengths: NDArray[np.int64], starts: tuple[tuple[int, ...], ...]
    ) -> "Segments":
        if len(starts) != len(lengths):
            raise StudyError(
                f"masking.boundaries names {len(starts)} demonstrations, but there are "
                f"{len(lengths)}: give the starts of the segments of each one.",
                field="masking.boundaries",
            )
        for index, (row, length) in enumerate(zip(starts, lengths, strict=True)):
            ascending = all(a < b for a, b in pairwise(row))
            if not row or row[0] != 0 or not ascending or row[-1] >= length:
                raise StudyError(
                    f"masking.boundaries of demonstration {index}: expected ascending starts "
                    f"from 0 to at most {length - 1}, got {list(row)}.",
                    field="masking.boundaries",
                )
        stops = [(*row[1:], int(length)) for row, length in zip(starts, lengths, strict=True)]
        return cls(
            demonstration=np.repeat(np.arange(len(starts)), [len(row) for row in starts]),
            start=np.array([start for row in starts for start in row], dtype=np.int64),
            stop=np.array([stop for row in stops for stop in row], dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, index: int) -> Segment:
        return Segment(
            int(self.demonstration[index]), int(self.start[index]), int(self.stop[index])
        )

    def __iter__(self) -> Iterator[Segment]:
        return (self[index] for index in range(len(self)))

    @property
    def n_frames(self) -> NDArray[np.int64]:
        """Frames of each segment, (n_segments,) int64."""
        return self.stop - self.start

    def frames(self, masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Expand masks over segments, (..., n_segments) bool, to frames, (..., n_frames) bool."""
        return np.repeat(masks, self.n_frames, axis=-1)


def read_boundaries(path: str | Path) -> tuple[tuple[int, ...], ...]:
    """Read custom segments from a CSV file with columns demonstration, start, stop.

    A saved `map.csv` has these columns. Segments must follow each other without gaps.

    Returns:
        For each demonstration the starts of its segments, as in `Masking.boundaries`.

    Raises:
        StudyError: When the file cannot be read, or segments overlap or leave a gap.
    """
    rows = _read_rows(path)
    if not rows:
        raise StudyError(
            f"{path} holds no segment: expected a row for each, below the names "
            f"{', '.join(Segment._fields)}."
        )
    starts: list[list[int]] = []
    expected = (0, 0)
    for line, (demonstration, start, stop) in enumerate(rows, start=2):
        if (demonstration, start) == (expected[0] + 1, 0):
            expected = (demonstration, 0)
        if (demonstration, start) != expected or stop <= start:
            raise StudyError(
                f"{path}, line {line}: expected a segment of demonstration {expected[0]} that "
                f"starts at frame {expected[1]} and is not empty (or the next demonstration), "
                f"got demonstration {demonstration}, frames {start} to {stop}. Sort the segments; "
                f"they must neither overlap nor leave gaps."
            )
        if start == 0:
            starts.append([])
        starts[-1].append(start)
        expected = (demonstration, stop)
    return tuple(tuple(row) for row in starts)


def _read_rows(path: str | Path) -> list[Segment]:
    columns = Segment._fields
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        return [Segment(*(int(row[name]) for name in columns)) for row in rows]
    except OSError as error:
        raise StudyError(f"Cannot read the segments {path}: {error.strerror}.") from None
    except (KeyError, TypeError, ValueError, UnicodeDecodeError, csv.Error):
        raise StudyError(
            f"{path} should be a CSV file with the whole-numbered columns {', '.join(columns)}."
        ) from None


def with_longer_segments(masking: Masking, lengths: NDArray[np.int64]) -> Iterator[Masking]:
    """Yield a masking, copies with repeatedly doubled segment length, and whole demonstrations.

    Args:
        masking: The first masking; only itself is yielded unless its segment length is an integer.
        lengths: (n_demos,) frames of each demonstration.
    """
    yield masking
    length, longest = masking.segment_length, int(lengths.max())
    if not isinstance(length, int):
        return
    while (length := 2 * length) < longest:
        yield masking.model_copy(update={"segment_length": length})
    yield masking.model_copy(update={"segment_length": "all"})


def runs_of(kept: NDArray[np.bool_], demonstration: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return (first frame, one past the last) of each run of kept frames in a demonstration."""
    runs: list[tuple[int, int]] = []
    for frame in np.flatnonzero(kept):
        is_next = runs and runs[-1][1] == frame
        if is_next and demonstration[frame - 1] == demonstration[frame]:
            runs[-1] = (runs[-1][0], int(frame) + 1)
        else:
            runs.append((int(frame), int(frame) + 1))
    return runs
