"""The result of a transfer: every algorithm on every map."""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from r2rise.results.certificate import Certificate
from r2rise.results.result import WITH_FIGURE, Result
from r2rise.statistics.summaries import MapPart


class Cell(MapPart):
    """One algorithm retrained on what one map calls important and unimportant.

    Attributes:
        learner: Name of the map whose algorithm (and settings) was retrained.
        ranking: Name of the map that chose the segments.
        share: Area between top and bottom over what all frames gain over random actions, so that
            algorithms can be compared; null where all frames gain nothing.
        certificate: All that was measured.
    """

    learner: str
    ranking: str
    share: float | None
    certificate: Certificate

    @property
    def share_interval(self) -> tuple[float, float] | None:
        """The 95 % interval of `share`; None if the share or the area has none."""
        area, gain = self.certificate.area_top_bottom, self.certificate.baseline.gain
        if self.share is None or gain is None or area.lower is None or area.upper is None:
            return None
        return area.lower / gain, area.upper / gain

    @property
    def is_undecided(self) -> bool:
        """Whether the certificate neither passes, in part or whole, nor fails."""
        return self.certificate.outcome == "undecided"


class Transfer(Result):
    """Every algorithm on every map: rows are learners, columns are maps."""

    title: ClassVar[str] = "transfer matrix"
    file_name: ClassVar[str] = "transfer.json"
    endings: ClassVar[tuple[str, ...]] = WITH_FIGURE
    figure: ClassVar[str] = "transfer:draw_transfer"
    caption: ClassVar[str] = (
        "Difference between training on the top and on the bottom of each map, by learner."
    )

    schema_: Literal["r2rise.transfer"] = Field(default="r2rise.transfer", alias="schema")
    schema_version: str = "1.2"
    created_at: datetime
    names: tuple[str, ...]
    cells: tuple[Cell, ...]
    versions: dict[str, str]

    @property
    def summary(self) -> str:
        """The result in a few words."""
        return f"{len(self.names)} learners and maps: {', '.join(self.names)}"

    def cell(self, learner: str, ranking: str) -> Cell:
        """Return the cell of a learner and a map.

        Raises:
            KeyError: When there is no map with one of the names.
        """
        for cell in self.cells:
            if (cell.learner, cell.ranking) == (learner, ranking):
                return cell
        raise KeyError((learner, ranking))
