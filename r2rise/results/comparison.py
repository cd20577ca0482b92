"""The comparison of two importance maps over the same segments, without retraining."""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from r2rise.results.result import Result
from r2rise.statistics.summaries import FloatList, MapPart, Verdict
from r2rise.statistics.wording import counted, in_digits


class Correlation(MapPart):
    """A rank correlation with its 95 % interval; null when a map is constant."""

    value: float | None
    lower: float | None
    upper: float | None


class Overlap(MapPart):
    """How much two lists of k segments share.

    Attributes:
        share: Of the k segments.
        by_chance: Expected of unrelated maps.
        p: Probability that unrelated maps share as much (hypergeometric).
    """

    share: float
    by_chance: float
    p: float


class Difference(MapPart):
    """Importance in the first map less that in the second, (n_segments,) each; null = unknown.

    Attributes:
        difference: In return units.
        std_error: Its standard error.
        verdict: `helps` (more in the first map), `hurts` (less) or `unresolved`, at a false
            discovery rate of 5 %. A map of one training seed resolves nothing.
    """

    difference: FloatList
    std_error: FloatList
    verdict: tuple[Verdict | None, ...]


class Comparison(Result):
    """How alike two maps are.

    Attributes:
        names: What the maps are called, where they have names.
        n_segments: Segments estimated in both.
        spearman: Rank correlation.
        kendall: Kendall's tau-b.
        spearman_corrected: Spearman's correlation over the root of the product of both maps'
            reliabilities (Spearman 1904): what maps without noise would have; null where a
            reliability is unknown or 0.
        k: Size of the top and bottom lists.
        top: Overlap of the k most helpful segments.
        bottom: Overlap of the k most harmful segments.
        difference: Segment by segment; null where the units differ or a map has no unit.
    """

    title: ClassVar[str] = "comparison"
    file_name: ClassVar[str] = "comparison.json"
    caption: ClassVar[str] = "Importance of every segment in both maps."
    belongs_to_study: ClassVar[bool] = False

    schema_: Literal["r2rise.comparison"] = Field(default="r2rise.comparison", alias="schema")
    schema_version: str = "1.1"
    created_at: datetime
    study_hashes: tuple[str, str]
    algorithms: tuple[str, str]
    names: tuple[str, str] | None = None
    n_segments: int
    spearman: Correlation
    kendall: Correlation
    spearman_corrected: Correlation
    k: int
    top: Overlap
    bottom: Overlap
    difference: Difference | None

    @property
    def summary(self) -> str:
        """The result in a few words."""
        value = in_digits(self.spearman.value, 2)
        return f"{counted(self.n_segments, 'segment')}, rank correlation {value}"

    @property
    def labels(self) -> tuple[str, str]:
        """Names of the maps; without names, their order and algorithms."""
        first, second = self.algorithms
        return self.names or (f"the first map, {first}", f"the second map, {second}")
