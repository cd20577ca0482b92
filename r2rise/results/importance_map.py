"""The importance map: its fields, and how it is saved, loaded and read."""

from collections.abc import Iterator
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from r2rise.data.segments import Segment
from r2rise.errors import InputError, MapError
from r2rise.limits import check_count
from r2rise.results.map_table import (
    Columns,
    RankedSegment,
    csv_text,
    dataframe,
    verdict_columns,
)
from r2rise.results.result import WITH_FIGURE, Result
from r2rise.statistics.summaries import (
    Baseline,
    Dataset,
    DemonstrationTable,
    EstimatorInfo,
    FloatList,
    IntList,
    Quality,
    Retrainings,
    SegmentTable,
    Stopped,
    Verdicts,
)
from r2rise.statistics.wording import counted, in_digits
from r2rise.study.notices import Notice
from r2rise.study.study import Study

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

SCHEMA_VERSION = "1.4"

NOT_WORTH_EXPLAINING = ("no_variation", "weak_policy", "saturated_policy")
"""Codes of the warnings that make a map not worth reading."""

HEADLINES = (
    *NOT_WORTH_EXPLAINING,
    "still_rising",
    "falls_with_training",
    "not_monotone",
    "undecided",
    "map_depends_on_training",
    "outlying_returns",
)
"""Codes of the warnings that are shown above a map."""


class ImportanceMap(Result):
    """Importance of every segment, with all that is needed to judge and repeat it.

    Attributes:
        revision: Design retrainings used, failed ones included.
        partial: True while retrainings are missing.
        study: The resolved study.
        importance: (n_segments,) return gained by keeping a segment; NaN = not estimated.
        std_error: (n_segments,) its standard error; NaN where none can be given.
        n_kept: (n_segments,) masks that kept it.
        n_masked: (n_segments,) masks that masked it.
        degrees_of_freedom: Of Student's t for intervals, the least of all segments; None is the
            normal distribution.
        segment_degrees: (n_segments,) the same for each; None in maps of earlier versions.
        verdicts: What is said of each segment; None where nothing can be: see `why_no_verdicts`.
        demonstrations: The same of whole demonstrations; None for the two rise estimators.
        stopped: Why the study ended before its budget, where it did.
    """

    title: ClassVar[str] = "importance map"
    file_name: ClassVar[str] = "map.json"
    error: ClassVar[type[InputError]] = MapError
    figure: ClassVar[str] = "importance:draw_importance"
    caption: ClassVar[str] = "Importance of every segment; the tables hold the numbers."
    endings: ClassVar[tuple[str, ...]] = (*WITH_FIGURE, ".csv", ".npz")

    schema_: Literal["r2rise.importance_map"] = Field(
        default="r2rise.importance_map", alias="schema"
    )
    schema_version: str = SCHEMA_VERSION
    revision: int
    partial: bool
    created_at: datetime
    study: Study
    design_hash: str
    study_hash: str
    dataset: Dataset
    estimator: EstimatorInfo
    retrainings: Retrainings
    baseline: Baseline
    segments: SegmentTable
    importance: FloatList
    std_error: FloatList
    n_kept: IntList
    n_masked: IntList
    degrees_of_freedom: float | None = None
    segment_degrees: FloatList | None = None
    verdicts: Verdicts | None = None
    demonstrations: DemonstrationTable | None = None
    stopped: Stopped | None = None
    quality: Quality
    versions: dict[str, str]
    warnings: tuple[Notice, ...]

    def __len__(self) -> int:
        return len(self.importance)

    def __getitem__(self, index: int) -> RankedSegment:
        """Return segment `index` with importance, interval and verdict."""
        if index not in range(-len(self), len(self)):
            raise IndexError(f"There are {len(self)} segments, got the index {index!r}.")
        return self._ranked_segment(index % len(self))

    def __iter__(self) -> Iterator[RankedSegment]:  # type: ignore[override]
        """Iterate over the segments in their order; `ranked` has the most helpful ones first."""
        return (self[index] for index in range(len(self)))

    @property
    def summary(self) -> str:
        """The result in a few words."""
        study, reliability = self.study, in_digits(self.quality.reliability, 2)
        return (
            f"{study.environment.id}, {study.algorithm.name}, {counted(len(self), 'segment')}, "
            f"{counted(self.retrainings.done, 'retraining')}, reliability {reliability}"
        )

    @property
    def degrees(self) -> NDArray[np.float64]:
        """Degrees of freedom of each segment's interval, (n_segments,); infinite for the normal.

        Maps of earlier versions have one number for all segments.
        """
        if self.segment_degrees is not None:
            return np.where(np.isfinite(self.segment_degrees), self.segment_degrees, np.inf)
        return np.full(len(self), self.degrees_of_freedom or np.inf)

    @property
    def _warning_codes(self) -> set[str]:
        return {notice.code for notice in self.warnings}

    @property
    def holds_for_one_seed(self) -> bool:
        """Whether the intervals hold only for the training seed that all masks share."""
        if self.verdicts is None:
            return False
        if self.verdicts.covers is None:  # earlier versions
            return "one_training_seed" in self._warning_codes
        return self.verdicts.covers == "masks"

    @property
    def varies(self) -> bool:
        """Whether masks differ in their return; otherwise there is nothing to rank."""
        return "no_variation" not in self._warning_codes

    @property
    def why_no_verdicts(self) -> str:
        """Reason why a map without verdicts has none, as text."""
        codes = self._warning_codes
        if self.estimator.sign == "order_only":
            return f"the estimator {self.estimator.name!r} gives an order only, no signs"
        if "weak_policy" in codes:
            return "the policy is too weak to be explained"
        if "intervals_withheld" in codes:
            return "there are too few retrainings for so many segments"
        return "an earlier version of r2rise computed the map"

    @property
    def headlines(self) -> list[Notice]:
        """Warnings that must be read before any number of the map."""
        return [notice for notice in self.warnings if notice.code in HEADLINES]

    @property
    def is_worth_reading(self) -> bool:
        """Whether the policy is good enough to be explained and masks distinguish segments."""
        return not self._warning_codes & set(NOT_WORTH_EXPLAINING)

    def segment(self, index: int) -> Segment:
        """Return demonstration, start and stop of segment `index`."""
        table = self.segments
        return Segment(
            int(table.demonstration[index]), int(table.start[index]), int(table.stop[index])
        )

    def ranked(self) -> list[RankedSegment]:
        """Return all estimated segments, the most helpful first."""
        order = np.argsort(-self.importance, kind="stable")
        return [self._ranked_segment(i) for i in order.tolist() if np.isfinite(self.importance[i])]

    def _ranked_segment(self, index: int) -> RankedSegment:
        row = self.segment(index), float(self.importance[index]), float(self.std_error[index])
        verdicts = self.verdicts
        if verdicts is None:
            return RankedSegment(*row)
        verdict = None if self.holds_for_one_seed else verdicts.verdict[index]
        return RankedSegment(
            *row, float(verdicts.lower[index]), float(verdicts.upper[index]), verdict
        )

    def top(self, k: int) -> list[RankedSegment]:
        """Return the k most helpful segments, the most helpful first.

        Raises:
            InputError: When k is not a whole number of at least 0.
        """
        check_count("k", k, least=0)
        return self.ranked()[:k]

    def bottom(self, k: int) -> list[RankedSegment]:
        """Return the k least helpful segments, the most harmful first.

        Raises:
            InputError: When k is not a whole number of at least 0.
        """
        check_count("k", k, least=0)
        return self.ranked()[::-1][:k]

    def per_demonstration(self) -> NDArray[np.float64]:
        """Return the summed importance of each demonstration, (n_demos,); NaN if one is missing."""
        totals = np.zeros(len(self.dataset.lengths))
        np.add.at(totals, self.segments.demonstration, self.importance)
        return totals

    def per_frame(self) -> list[NDArray[np.float64]]:
        """Return the importance of every frame, which is that of its segment.

        Returns:
            For each demonstration, an array of shape (lengths[i],).
        """
        n_frames = self.segments.stop - self.segments.start
        frames = np.repeat(self.importance, n_frames)
        return np.split(frames, np.cumsum(self.dataset.lengths)[:-1])

    def to_csv(self) -> str:
        """Return a table with one row for each segment; cells without a value are empty."""
        return csv_text(self._columns())

    def to_dataframe(self) -> "pd.DataFrame":
        """Return the same table as a DataFrame of pandas.

        Raises:
            MissingExtra: When pandas is not installed.
        """
        return dataframe(self._columns())

    def plot(self, axes: "Axes | None" = None) -> "Axes":
        """Draw the map on axes of matplotlib, by default on those of a new figure.

        Returns:
            The axes, with a colour bar beside them.

        Raises:
            MissingExtra: When matplotlib is not installed.
        """
        figures = import_module("r2rise.report.figures.importance")
        drawn: Axes = figures.plot_importance(self, axes)
        return drawn

    def _columns(self) -> Columns:
        table = self.segments
        return {
            "demonstration": table.demonstration,
            "start": table.start,
            "stop": table.stop,
            "importance": self.importance,
            "std_error": self.std_error,
            "n_kept": self.n_kept,
            "n_masked": self.n_masked,
            **verdict_columns(self.verdicts, len(self), one_seed=self.holds_for_one_seed),
        }

    def _write(self, file: IO[bytes], ending: str) -> None:
        if ending == ".csv":
            file.write(self.to_csv().encode())
        elif ending == ".npz":
            np.savez_compressed(
                file, allow_pickle=False, meta=np.array(self.to_json()), **self._columns()
            )
        else:
            super()._write(file, ending)

    @classmethod
    def _read_text(cls, path: Path) -> str:
        if path.suffix.lower() != ".npz":
            return super()._read_text(path)
        with path.open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            if "meta" not in getattr(arrays, "files", ()):
                raise ValueError("expected the array meta")
            return str(arrays["meta"])
