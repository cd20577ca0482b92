"""A plan: a proposed study, and the reliability expected of it."""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from r2rise.results.result import WITH_FIGURE, Result
from r2rise.statistics.summaries import Baseline, MapPart, VarianceSplit
from r2rise.statistics.wording import duration, share_of_one
from r2rise.study.choices import TrainingSeeds
from r2rise.study.study import Study

PlanOutcome = Literal["as_asked", "coarser", "short", "refused"]


class Option(MapPart):
    """What the limits allow with segments of one length.

    Attributes:
        segment_length: Frames, `all`, or null for the user's own segments.
        n_segments: How many there are.
        training_seeds: One for each `block`; one for each `pair` of complements where the limits
            allow one block and no second.
        retrainings: That the goals take; null where no number would do.
        seconds: What these take with one worker; null likewise.
        reliability: Of as many of these as the limits allow; 0 where they allow too few to show
            what comes back with another training seed (two blocks, or one of pairs).
    """

    segment_length: int | Literal["all"] | None
    n_segments: int
    training_seeds: TrainingSeeds = "block"
    retrainings: int | None
    seconds: float | None
    reliability: float


class Plan(Result):
    """A proposed study, what it was concluded from, and what it is expected to find.

    Attributes:
        outcome: `as_asked` (the goal is within the limits), `coarser` (with longer segments),
            `short` (a ranking, but not as reliable as asked), `refused` (no ranking).
        study: The proposed study; for `refused` the one that would reach the goal.
        goal: Reliability planned for; with `until.verdicts` a verdict on every segment, too.
        variance: Where the variance of the returns comes from.
        mean_return: Of the pilot's masks, which keep half of the segments.
        blur: Noise over signal of one mask; see `r2rise.statistics.prediction`.
        seconds_training: Of one retraining with one worker.
        seconds_episode: Of one evaluation episode.
        n_retrainings: Of the pilot.
        options: What other segment lengths would take.
        advice: What else the pilot suggests.
    """

    title: ClassVar[str] = "plan"
    file_name: ClassVar[str] = "plan.json"
    endings: ClassVar[tuple[str, ...]] = WITH_FIGURE
    figure: ClassVar[str] = "plan:draw_plan"
    caption: ClassVar[str] = (
        "Reliability to be expected of more retrainings, and where the variance of the returns of "
        "the pilot comes from."
    )

    schema_: Literal["r2rise.plan"] = Field(default="r2rise.plan", alias="schema")
    schema_version: str = "1.3"
    created_at: datetime
    outcome: PlanOutcome
    study: Study
    goal: float
    variance: VarianceSplit
    baseline: Baseline
    mean_return: float
    blur: float | None
    seconds_training: float
    seconds_episode: float
    n_retrainings: int
    options: tuple[Option, ...]
    advice: tuple[str, ...]
    versions: dict[str, str]

    @property
    def summary(self) -> str:
        """The result in a few words."""
        outcome, predicted = self.outcome.replace("_", " "), self.study.prediction
        if predicted is None:
            return f"{outcome}, {self._segments_words}"
        return (
            f"{outcome}, {predicted.retrainings} retrainings of {self._segments_words}, "
            f"reliability {share_of_one(predicted.reliability)}"
        )

    @property
    def _segments_words(self) -> str:
        length = self.study.masking.segment_length
        special = {"None": "your own segments", "all": "whole demonstrations"}
        return special.get(str(length), f"segments of {length} frames")

    def in_words(self) -> str:
        """Return the proposal as text, or the reason why there is none."""
        masking, predicted = self.study.masking, self.study.prediction
        if self.variance.total == 0:
            return "Refused: every mask of the pilot has the same mean return."
        if self.blur is None:
            return (
                f"Refused: the pilot of {self.n_retrainings} retrainings sees no effect of the "
                f"frames that other training seeds repeat. It may exist, but be too small for the "
                f"pilot."
            )
        if predicted is None:
            return (
                "Refused: no number of retrainings is known to give every segment a verdict, as "
                "all frames gain nothing over random actions."
            )
        segments = self._segments_words
        if masking.training_seeds == "pair":
            segments += " (one block, with a training seed for each pair of masks)"
        expected = (
            f"{predicted.retrainings} retrainings of {segments} are expected to reach reliability "
            f"{share_of_one(predicted.reliability)} ({share_of_one(predicted.reliability_low)} to "
            f"{share_of_one(predicted.reliability_high)}) in {duration(predicted.seconds)} with "
            f"one worker."
        )
        short_words = f"Less reliable than requested ({self.goal:g})"
        if self.study.until.verdicts:
            short_words = "Not everything that was requested"
            expected += self._verdicts_words(predicted.retrainings)
        return {
            "as_asked": f"Within the limits: {expected}",
            "coarser": f"Only with longer segments: {expected}",
            "short": f"{short_words}: {expected}",
            "refused": f"Refused: the limits allow no ranking of these segments. {expected}",
        }[self.outcome]

    def _verdicts_words(self, n: int) -> str:
        """Return what n retrainings mean for verdicts on the proposed segments, as text."""
        length = self.study.masking.segment_length
        [needed] = [o.retrainings for o in self.options if o.segment_length == length]
        if needed is not None and n >= needed:
            return " They are about enough for a verdict on every segment; it may take fewer."
        return (
            f" Some segments may remain without a verdict: a verdict on each, and "
            f"reliability {self.goal:g}, take about {needed} retrainings."
        )
