"""The certificate: a test of a map by training on its most and least important segments."""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from r2rise.results.result import WITH_FIGURE, Result
from r2rise.statistics.directions import Difference, Direction, percentages
from r2rise.statistics.intervals import MeanInterval
from r2rise.statistics.summaries import Baseline, MapPart

MIN_SEGMENTS_FOR_LUCK = 8
"""Smallest number of segments for which chance can be ruled out: a half has 4! = 24 orders."""

CertificateOutcome = Literal["pass", "right_at_bottom", "right_at_top", "fail", "undecided"]

OUTCOME_WORDS: dict[CertificateOutcome, str] = {
    "pass": "pass",
    "right_at_bottom": "right at the bottom",
    "right_at_top": "right at the top",
    "fail": "fail",
    "undecided": "undecided",
}
"""The outcomes as text, for figures and tables."""

WHAT_IT_MEASURES = (
    "Importance is measured with random halves of the segments kept; where only 10 % are kept, "
    "interactions between segments dominate."
)


class KeepLevel(MapPart):
    """Returns after training on some of the segments.

    Attributes:
        n_segments: Segments kept.
        keep: Their share of all estimated ones.
        top: Return from the most important ones.
        bottom: Return from the least important ones.
        random_as_top: Return from random ones, as many frames and demonstrations as `top`.
        random_as_bottom: The same for `bottom`.
        top_random: `top` less `random_as_top`; null in files of version 1.1 and before.
        random_bottom: `random_as_bottom` less `bottom`; null as above.
    """

    n_segments: int
    keep: float
    top: MeanInterval
    bottom: MeanInterval
    random_as_top: MeanInterval
    random_as_bottom: MeanInterval
    top_random: Difference | None = None
    random_bottom: Difference | None = None

    @property
    def is_contradicting(self) -> bool:
        """Whether the most important segments train worse than random ones.

        The paired test decides. Files of version 1.1 and before have none; there the intervals must
        not overlap.
        """
        if self.top_random is not None:
            return self.top_random.verdict == "below"
        random_lower, top_upper = self.random_as_top.lower, self.top.upper
        return random_lower is not None and top_upper is not None and top_upper < random_lower


class Certificate(Result):
    """Whether what a map calls important is important, found with seeds that no map has used.

    Areas are mean differences over the keep levels, in return units.

    Attributes:
        outcome: `pass`: both directions are shown, and luck is ruled out (`luck_p` at most
            0.001). `right_at_bottom` or `right_at_top`: one direction alone is. `fail`: neither,
            and top and bottom differ by less than a quarter of what all frames gain over random
            actions, or the bottom is better. Else `undecided`.
        leaving_out_bottom: Whether leaving out the bottom helps: the top against random segments
            where more than half are kept; null in files of version 1.1 and before.
        keeping_top: Whether keeping only the top suffices: the same where half or fewer are
            kept; null as above.
        algorithm: What was retrained.
        training: For how long, such as `1600 updates`; null where the algorithm does not say.
        map_algorithm: Whose map it is; another one in a transfer.
        map_revision: Design retrainings behind the map.
        luck_p: How often a shuffled map fits the returns of the random arms as well; null where
            it is unknown.
        n_failed: Failed retrainings; their repetitions are left out.
    """

    title: ClassVar[str] = "certificate"
    file_name: ClassVar[str] = "certificate.json"
    endings: ClassVar[tuple[str, ...]] = WITH_FIGURE
    figure: ClassVar[str] = "certificate:draw_certificate"
    caption: ClassVar[str] = "Returns after training on some of the segments, with 95 % intervals."

    schema_: Literal["r2rise.certificate"] = Field(default="r2rise.certificate", alias="schema")
    schema_version: str = "1.2"
    created_at: datetime
    outcome: CertificateOutcome
    algorithm: str
    map_algorithm: str
    map_revision: int
    map_study_hash: str
    unit: str
    levels: tuple[KeepLevel, ...]
    area_top_random: MeanInterval
    area_random_bottom: MeanInterval
    area_top_bottom: MeanInterval
    luck_p: float | None
    baseline: Baseline
    n_retrainings: int
    n_failed: int
    training: str | None = None
    leaving_out_bottom: Direction | None = None
    keeping_top: Direction | None = None
    versions: dict[str, str]

    @property
    def summary(self) -> str:
        """The result in a few words."""
        return (
            f"{OUTCOME_WORDS[self.outcome]}, {self.algorithm} on the map of {self.map_algorithm}, "
            f"{self.n_retrainings} retrainings"
        )

    @property
    def contradicting_levels(self) -> list[float]:
        """Keep levels at which the most important segments train worse than random ones."""
        return [level.keep for level in self.levels if level.is_contradicting]

    @property
    def is_upside_down(self) -> bool:
        """Whether the least important segments train better than the most important ones."""
        upper = self.area_top_bottom.upper
        return upper is not None and upper < 0

    @property
    def n_ranked(self) -> int:
        """Number of segments that the map ranks."""
        level = self.levels[0]
        return round(level.n_segments / level.keep)

    def in_words(self) -> str:
        """Return the outcome and its meaning as text."""
        sentences = [self._outcome_words()]
        if self.outcome == "undecided":
            sentences.append(self._advice())
        if self.contradicting_levels:
            levels = percentages(self.contradicting_levels)
            sentences.append(
                f"Not at every level: with {levels}, the most important "
                f"segments together train worse policies than random ones."
            )
        sentences.append(WHAT_IT_MEASURES)
        if self.training is not None:
            sentences.append(f"All of it is about policies trained for {self.training}.")
        return " ".join(sentences)

    def _outcome_words(self) -> str:
        return {
            "pass": self._pass_words,
            "right_at_bottom": lambda: (
                "Right at the bottom only: leaving out what the map calls unimportant trains "
                "better policies than leaving out random segments. That keeping only the top "
                f"suffices is {self.keeping_top}."
            ),
            "right_at_top": lambda: (
                "Right at the top only: keeping only what the map calls important trains better "
                "policies than keeping random segments. That leaving out the bottom helps is "
                f"{self.leaving_out_bottom}."
            ),
            "fail": self._fail_words,
            "undecided": self._undecided_words,
        }[self.outcome]()

    def _pass_words(self) -> str:
        if self.keeping_top is None:
            return (
                "Pass: over all levels together, training on what the map calls important is "
                "better than training on random segments, and those are better than what it "
                "calls unimportant."
            )
        return (
            "Pass: leaving out what the map calls unimportant trains better policies than leaving "
            "out random segments, and keeping only what it calls important better ones than "
            "keeping random segments."
        )

    def _undecided_words(self) -> str:
        if self.area_top_bottom.is_above_zero:
            return (
                "Undecided: what the map calls important trains better policies than what it "
                f"calls unimportant, by {self.area_top_bottom} over all levels, but the "
                "comparisons with random segments do not settle whether the map is right at "
                "either end."
            )
        return (
            "Undecided: with these retrainings, what the map calls important and unimportant "
            "cannot be told apart."
        )

    def _fail_words(self) -> str:
        if self.is_upside_down:
            return (
                "Fail: the map is upside down. What it calls unimportant trains better policies "
                "than what it calls important."
            )
        if self.area_top_bottom.is_above_zero:
            return (
                "Fail: the map distinguishes little. What it calls important trains better "
                f"policies than what it calls unimportant, by {self.area_top_bottom} over all "
                "levels, but that is less than a quarter of what all frames gain over random "
                "actions."
            )
        return (
            "Fail: there is nothing to distinguish. What the map calls important and unimportant "
            "train policies that are nearly as good."
        )

    def _advice(self) -> str:
        words = "More repetitions, or a map of more retrainings, may decide."
        if self.n_ranked < MIN_SEGMENTS_FOR_LUCK:
            words += (
                f" With fewer than {MIN_SEGMENTS_FOR_LUCK} segments luck cannot be ruled out: use "
                f"shorter segments."
            )
        return words
