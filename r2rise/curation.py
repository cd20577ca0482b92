"""What a curation found: the frames to leave out, and what that gains."""

from datetime import datetime
from typing import IO, TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from r2rise.demonstrations import Demonstrations
from r2rise.errors import DemonstrationsError, NotReady
from r2rise.intervals import MeanInterval
from r2rise.map_parts import MapPart
from r2rise.results import WITH_FIGURE, Result
from r2rise.segments import Segment
from r2rise.wording import counted

if TYPE_CHECKING:
    from r2rise.figures.canvas import Format


class Trial(MapPart):
    """Return after leaving out the segments that hurt most.

    Attributes:
        n_dropped: How many were left out.
        mean_return: Return with its interval.
        gain: Gain over all frames, seed by seed.
    """

    n_dropped: int
    mean_return: MeanInterval
    gain: MeanInterval


class Confirmation(MapPart):
    """The chosen drop with seeds that the choice never saw.

    Attributes:
        all_frames: Return from all frames.
        curated: Return without the dropped segments.
        random_drop: Return without random segments, as many frames of as many demonstrations.
        gain: `curated` over `all_frames`, seed by seed. No winner's curse is in it.
        gain_over_random: `curated` over `random_drop`.
    """

    all_frames: MeanInterval
    curated: MeanInterval
    random_drop: MeanInterval
    gain: MeanInterval
    gain_over_random: MeanInterval


class Edit(MapPart):
    """Frames `start` up to, not including, `stop` of a demonstration to be left out, and why."""

    demonstration: int
    start: int
    stop: int
    reason: str


class Curation(Result):
    """Which frames to leave out, and what that gains.

    Attributes:
        outcome: `gain` when the confirmed gain's whole interval is above 0, else `no_gain`.
        trials: What was tried to choose how many to drop; these gains flatter the best.
        confirmation: The choice with fresh seeds; null when no trial was better than all frames.
        edits: What the choice leaves out; empty when nothing was chosen.
        n_failed: Failed retrainings; their repetitions are left out.
    """

    title: ClassVar[str] = "curation"
    file_name: ClassVar[str] = "curation.json"
    endings: ClassVar[tuple[str, ...]] = WITH_FIGURE

    schema_: Literal["r2rise.curation"] = Field(default="r2rise.curation", alias="schema")
    schema_version: str = "1.0"
    created_at: datetime
    outcome: Literal["gain", "no_gain"]
    algorithm: str
    dataset: str
    map_revision: int
    map_study_hash: str
    unit: str
    trials: tuple[Trial, ...]
    confirmation: Confirmation | None
    edits: tuple[Edit, ...]
    n_retrainings: int
    n_failed: int
    versions: dict[str, str]

    def draw(self, file: IO[bytes], *, format: "Format" = "png") -> None:  # noqa: A002
        """Draw returns over the number of segments left out, and the confirmation."""
        from r2rise.figures import draw_curation

        draw_curation(self, file, format=format)

    def in_words(self) -> str:
        """Return what was found."""
        confirmed = self.confirmation
        what = counted(len(self.edits), "segment")
        if not self.trials:
            return "No gain: no segment seems to hurt, so that nothing was tried."
        if confirmed is None:
            return "No gain: leaving out what seems to hurt was never better than all frames."
        if self.outcome == "no_gain":
            return (
                f"No gain was confirmed: leaving out {what} changes the return "
                f"by {confirmed.gain} with fresh seeds."
            )
        return (
            f"Gain: without {what} the return is {confirmed.curated}, from all "
            f"frames {confirmed.all_frames}: a gain of {confirmed.gain}, confirmed with seeds "
            f"that the choice never saw. As many random segments less: {confirmed.random_drop}."
        )

    def apply(self, demonstrations: Demonstrations) -> Demonstrations:
        """Return demonstrations without the edits, split so that no transition bridges a cut.

        Raises:
            NotReady: When there is nothing to leave out.
            DemonstrationsError: When these are not the demonstrations of the map.
        """
        if demonstrations.content_hash != self.dataset:
            raise DemonstrationsError(
                f"The edits are for the demonstrations {self.dataset}, but got "
                f"{demonstrations.content_hash}: give the ones that were explained."
            )
        if not self.edits:
            raise NotReady("There is nothing to leave out: no trial was better than all frames.")
        return demonstrations.select(
            drop=[Segment(edit.demonstration, edit.start, edit.stop) for edit in self.edits]
        )
