"""The result of a curation: the frames to leave out, and the gain from it."""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from r2rise.data.demonstrations import Demonstrations
from r2rise.data.segments import Segment
from r2rise.errors import DemonstrationsError, NotReady
from r2rise.results.result import WITH_FIGURE, Result
from r2rise.statistics.curation_rule import CurationOutcome, Speed
from r2rise.statistics.intervals import MeanInterval
from r2rise.statistics.summaries import MapPart
from r2rise.statistics.wording import counted


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
    """The chosen drop with seeds that the choice never saw, each arm trained as is best for it.

    Attributes:
        all_frames: Return from all frames.
        curated: Return without the dropped segments.
        random_drop: Return without random segments, as many frames of as many demonstrations,
            trained for as long as the curated ones that the outcome is about.
        gain: `curated` over `all_frames`, seed by seed. No winner's curse is in it.
        gain_over_random: What the outcome's curated frames gain over `random_drop`.
    """

    all_frames: MeanInterval
    curated: MeanInterval
    random_drop: MeanInterval
    gain: MeanInterval
    gain_over_random: MeanInterval


class LongerTraining(MapPart):
    """Both arms over the amount of training, with seeds that no choice ever saw.

    Attributes:
        amounts: (n_amounts,) increasing; a single 0 where the algorithm does not say how it
            counts its training, so that longer training was not tried.
        unit: `updates` or `environment steps`; empty likewise.
        all_frames: (n_amounts,) returns from all frames.
        curated: (n_amounts,) returns without the dropped segments.
        all_frames_amount: Where all frames are best, on other seeds.
        curated_amount: The same of the curated frames.
        speed: How many times sooner the curated frames are as good; null where they never are.
        least_gain: What the gain has to exceed to be one.
        still_rising: Whether all frames still rise at the last amount.
    """

    amounts: tuple[int, ...]
    unit: str
    all_frames: tuple[MeanInterval, ...]
    curated: tuple[MeanInterval, ...]
    all_frames_amount: int
    curated_amount: int
    speed: Speed | None
    least_gain: float
    still_rising: bool


class Edit(MapPart):
    """Frames `start` up to, not including, `stop` of a demonstration to be left out, and why."""

    demonstration: int
    start: int
    stop: int
    reason: str


class Curation(Result):
    """Which frames to leave out, and what that gains.

    Attributes:
        outcome: `gain` (better than all frames at any amount of training), `trains_faster` (as
            good, with less training), `fewer_frames_do` (one of these, but as many random segments
            less are as good), `no_gain`, or `undecided` (all frames still rise where the training
            that was tried ends). See `curation_rule.judge_curation`.
        trials: What was tried to choose how many to drop; these gains flatter the best.
        confirmation: The choice with fresh seeds; null when no trial was better than all frames.
        longer_training: Returns over the amount of training; null likewise.
        edits: What the choice leaves out; empty when nothing was chosen.
        n_failed: Failed retrainings; their repetitions are left out.
    """

    title: ClassVar[str] = "curation"
    file_name: ClassVar[str] = "curation.json"
    endings: ClassVar[tuple[str, ...]] = WITH_FIGURE
    figure: ClassVar[str] = "curation:draw_curation"
    caption: ClassVar[str] = "Returns after leaving out what hurts most, with 95 % intervals."

    schema_: Literal["r2rise.curation"] = Field(default="r2rise.curation", alias="schema")
    schema_version: str = "1.1"
    created_at: datetime
    outcome: CurationOutcome
    algorithm: str
    dataset: str
    map_revision: int
    map_study_hash: str
    unit: str
    trials: tuple[Trial, ...]
    confirmation: Confirmation | None
    longer_training: LongerTraining | None = None
    edits: tuple[Edit, ...]
    n_retrainings: int
    n_failed: int
    versions: dict[str, str]

    @property
    def summary(self) -> str:
        """The result in a few words."""
        left_out = counted(len(self.edits), "segment")
        return (
            f"{self.outcome.replace('_', ' ')}, {left_out} to leave out, "
            f"{self.n_retrainings} retrainings"
        )

    def in_words(self) -> str:
        """Return the outcome and its numbers as text."""
        confirmation = self.confirmation
        edits = counted(len(self.edits), "segment")
        if not self.trials:
            return "No gain: no segment seems to hurt, so that nothing was tried."
        if confirmation is None:
            return "No gain: leaving out what seems to hurt was never better than all frames."
        amounts = self._training_words()
        change = (
            f"without {edits} the return is {confirmation.curated}, from all frames "
            f"{confirmation.all_frames}, a difference of {confirmation.gain}"
        )
        control = f"as many random segments less: {confirmation.random_drop}"
        return {
            "gain": f"Gain: {change}, with seeds that the choice never saw{amounts}; {control}.",
            "trains_faster": f"Trains faster, not better: {self._speed_words(edits)}; {control}.",
            "fewer_frames_do": (
                f"Fewer frames do: {change}; but {control}. These particular frames are not to "
                f"blame."
            ),
            "undecided": (
                f"Undecided: {change}, but all frames still gain from more training at the "
                f"largest amount that was tried{amounts}."
            ),
            "no_gain": f"No gain was confirmed: {change}, with fresh seeds{amounts}.",
        }[self.outcome]

    def _training_words(self) -> str:
        """Return the amounts of training that were tried, as the end of a sentence."""
        longer = self.longer_training
        if longer is None:
            return ""
        if not longer.unit:
            return " (longer training was not tried: the algorithm does not say how it counts it)"
        return (
            f", each trained for as long as is best for it: {longer.curated_amount} and "
            f"{longer.all_frames_amount} of {longer.amounts[0]} to {longer.amounts[-1]} "
            f"{longer.unit}"
        )

    def _speed_words(self, edits: str) -> str:
        longer = self.longer_training
        speed = None if longer is None else longer.speed
        if longer is None or speed is None:
            return f"without {edits} as good as all frames"
        return (
            f"without {edits} as good after {speed.curated_amount:.3g} {longer.unit} as all frames "
            f"after {speed.all_frames_amount:.3g}, {speed.times:.3g} times sooner "
            f"({speed.lower:.3g} to {speed.upper:.3g})"
        )

    @property
    def is_worth_applying(self) -> bool:
        """Whether leaving these frames out makes training better or faster."""
        return self.outcome in ("gain", "trains_faster")

    def apply(
        self, demonstrations: Demonstrations, *, without_gain: bool = False
    ) -> Demonstrations:
        """Return demonstrations without the edits, split so that no transition bridges a cut.

        Args:
            demonstrations: The demonstrations of the map.
            without_gain: Whether to leave the frames out even if no gain was confirmed.

        Raises:
            NotReady: When there is nothing to leave out, or no gain was confirmed.
            DemonstrationsError: When these are not the demonstrations of the map.
        """
        if demonstrations.content_hash != self.dataset:
            raise DemonstrationsError(
                f"The edits are for the demonstrations {self.dataset}, but got "
                f"{demonstrations.content_hash}: give the ones that were explained."
            )
        if not self.edits:
            raise NotReady("There is nothing to leave out: no trial was better than all frames.")
        if not (self.is_worth_applying or without_gain):
            raise NotReady(
                f"{self.in_words()} Give without_gain=True to leave the frames out anyway."
            )
        return demonstrations.select(
            drop=[Segment(edit.demonstration, edit.start, edit.stop) for edit in self.edits]
        )
