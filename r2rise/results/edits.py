"""The edit list: which frames a curation leaves out, for people and other programs."""

from typing import ClassVar, Literal, Self

from pydantic import Field

from r2rise.results.curation import Curation, Edit
from r2rise.results.result import Result
from r2rise.statistics.wording import counted


class Edits(Result):
    """Frames to leave out of demonstrations, and why.

    Attributes:
        dataset: Content hash of the demonstrations that the edits are about.
        unit: Of the importance that the reasons name.
        edits: Frames of each demonstration, in order.
    """

    title: ClassVar[str] = "edit list"
    file_name: ClassVar[str] = "edits.json"
    belongs_to_study: ClassVar[bool] = False

    schema_: Literal["r2rise.edits"] = Field(default="r2rise.edits", alias="schema")
    schema_version: str = "1.0"
    dataset: str
    unit: str
    edits: tuple[Edit, ...]

    @property
    def summary(self) -> str:
        """The result in a few words."""
        return f"{counted(len(self.edits), 'segment')} to leave out"

    @classmethod
    def of(cls, curation: Curation) -> Self:
        """Return the edits of a curation."""
        return cls(dataset=curation.dataset, unit=curation.unit, edits=curation.edits)
