"""The certificate: is the map right? Train on what it calls important and unimportant."""

from datetime import datetime
from typing import IO, TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from r2rise.intervals import MeanInterval
from r2rise.map_parts import Baseline, MapPart
from r2rise.results import WITH_FIGURE, Result

if TYPE_CHECKING:
    from r2rise.figures.canvas import Format

FEWEST_FOR_LUCK = 7
"""Segments with enough orders, 7! = 5040, that luck can be rare enough."""

Outcome = Literal["pass", "fail", "undecided"]


class KeepLevel(MapPart):
    """Returns after training on some of the segments.

    Attributes:
        n_segments: Segments kept.
        keep: Their share of all estimated ones.
        top: Return from the most important ones.
        bottom: Return from the least important ones.
        random_as_top: Return from random ones, as many frames and demonstrations as `top`.
        random_as_bottom: The same for `bottom`.
    """

    n_segments: int
    keep: float
    top: MeanInterval
    bottom: MeanInterval
    random_as_top: MeanInterval
    random_as_bottom: MeanInterval


class Certificate(Result):
    """Whether what a map calls important is important, found with seeds that no map has used.

    Areas are mean differences over the keep levels, in return units.

    Attributes:
        outcome: `pass`: the top is better than random and random better than the bottom, both
            intervals above 0, and luck is ruled out (`luck_p` at most 0.001). `fail`: top and
            bottom differ by less than a quarter of what all frames gain over random actions.
            Else `undecided`.
        algorithm: What was retrained.
        training: For how long, such as `1600 updates`; null where the algorithm does not say.
        map_algorithm: Whose map it is; another one in a transfer.
        map_revision: Design retrainings behind the map.
        luck_p: How often a shuffled map fits the returns of the random arms as well; null where
            it cannot be told.
        n_failed: Failed retrainings; their repetitions are left out.
    """

    title: ClassVar[str] = "certificate"
    file_name: ClassVar[str] = "certificate.json"
    endings: ClassVar[tuple[str, ...]] = WITH_FIGURE

    schema_: Literal["r2rise.certificate"] = Field(default="r2rise.certificate", alias="schema")
    schema_version: str = "1.1"
    created_at: datetime
    outcome: Outcome
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
    versions: dict[str, str]

    def draw(self, file: IO[bytes], *, format: "Format" = "png") -> None:  # noqa: A002
        """Draw returns over keep levels for the top, the bottom and random segments."""
        from r2rise.figures import draw_certificate

        draw_certificate(self, file, format=format)

    @property
    def levels_against(self) -> list[float]:
        """Keep levels at which the most important segments train worse than random ones."""
        return [
            level.keep
            for level in self.levels
            if level.top.upper is not None
            and level.random_as_top.lower is not None
            and level.top.upper < level.random_as_top.lower
        ]

    @property
    def is_upside_down(self) -> bool:
        """Whether the least important segments train better than the most important ones."""
        upper = self.area_top_bottom.upper
        return upper is not None and upper < 0

    @property
    def n_ranked(self) -> int:
        """Segments that the map ranks."""
        first = self.levels[0]
        return round(first.n_segments / first.keep)

    def in_words(self) -> str:
        """Return what the outcome means."""
        words = {
            "pass": "Pass: over all levels together, training on what the map calls important is "
            "better than training on random segments, and those are better than what it calls "
            "unimportant.",
            "fail": "Fail: the map is upside down. What it calls unimportant trains better "
            "policies than what it calls important."
            if self.is_upside_down
            else "Fail: there is nothing to tell apart. What the map calls important and "
            "unimportant train policies that are nearly as good.",
            "undecided": "Undecided: there is nothing to tell apart with these retrainings. More "
            "repetitions, or a map of more retrainings, may decide.",
        }[self.outcome]
        if self.outcome == "undecided" and self.n_ranked < FEWEST_FOR_LUCK:
            words += (
                f" With fewer than {FEWEST_FOR_LUCK} segments luck cannot be ruled out: use "
                f"shorter segments."
            )
        if self.levels_against:
            shares = ", ".join(f"{keep:.0%}" for keep in self.levels_against)
            words += (
                f" Not at every level: of {shares} of the segments, the most important ones "
                f"together train worse policies than random ones."
            )
        if self.training is not None:
            words += f" All of it is about policies trained for {self.training}."
        return words
