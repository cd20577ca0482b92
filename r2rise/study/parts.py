"""The parts of a study: frozen and validated, each with defaults."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)

from r2rise.errors import StudyError
from r2rise.limits import (
    MOST_EPISODES,
    MOST_RETRAININGS,
    MOST_THREADS,
    TOO_MANY_EPISODES,
    TOO_MANY_RETRAININGS,
    TOO_MANY_THREADS,
)
from r2rise.study.choices import BackendChoice, DesignChoice, TrainingSeeds
from r2rise.study.validation import describe, without_pydantic

_INDEPENDENT_MASKS_BETWEEN_LOOKS = 64
"""Used where every mask has its own training seed."""


class StudyPart(BaseModel):
    """A frozen part of a study; unknown fields are refused.

    Raises:
        StudyError: When fields are wrong; it names each, the expected and the actual value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, /, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            name = type(self).__name__
            raise StudyError(
                f"{name}(...) cannot be used:\n{describe(error, type(self))}"
            ) from None

    # Pydantic then reads the fields of a part itself, and reports them with those of the whole.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    def __dir__(self) -> list[str]:
        return without_pydantic(super().__dir__())


@dataclass(frozen=True)
class AddedField:
    """Marks a field that hashes of version 1 began without.

    Attributes:
        first_default: Its first default, which reproduces the behaviour from before the field
            existed; it stays the same when the default of the field changes. At this value the
            field is left out of hashes.
    """

    first_default: JsonValue


def _at_most(most: int, reason: str) -> AfterValidator:
    """Return what refuses larger numbers, and gives a reason."""

    def check(value: int) -> int:
        if value > most:
            raise ValueError(f"should be at most {most}, got {value}. {reason}")
        return value

    return AfterValidator(check)


_Retrainings = Annotated[int, _at_most(MOST_RETRAININGS, TOO_MANY_RETRAININGS)]
_Episodes = Annotated[int, _at_most(MOST_EPISODES, TOO_MANY_EPISODES)]
_Threads = Annotated[int, _at_most(MOST_THREADS, TOO_MANY_THREADS)]


class Masking(StudyPart):
    """How frames are grouped and masked.

    Attributes:
        segment_length: Frames per segment, `all` for whole demonstrations, or `auto` for the
            shortest of 10, 20, 40, ... for which the budget holds two blocks of masks.
        boundaries: The user's own segments instead: for each demonstration the frames at which
            its segments start, the first being 0.
        design: `foldover`, `balanced`, `bernoulli`, or `auto` to let the budget decide.
        keep_probability: Share of the segments that a mask keeps.
        block_size: Masks that, as a rule, share a training seed and are evaluated with the same
            episodes; filled in by the design when left out.
        training_seeds: One training seed, and the same episodes, for each `block`, or for each
            `pair` of complements of a fold-over block: then one block already shows what other
            seeds would do, at the price of a noisier ranking.
        frame_stack: Frames that one observation shows (4 in the paper's Atari games). A frame
            whose observation shows a masked one is left out, too.
    """

    segment_length: int | Literal["all", "auto"] | None = "auto"
    boundaries: tuple[tuple[int, ...], ...] | None = None
    design: DesignChoice = "auto"
    keep_probability: float = Field(default=0.5, gt=0, lt=1)
    block_size: (
        Annotated[int, Field(ge=1), _at_most(MOST_RETRAININGS, TOO_MANY_RETRAININGS)] | None
    ) = None
    training_seeds: Annotated[TrainingSeeds, AddedField("block")] = "block"
    frame_stack: Annotated[int, AddedField(1)] = Field(default=1, ge=1)

    @property
    def shares_seeds(self) -> bool:
        """Whether the masks of a block share a training seed; for a resolved study."""
        return (self.block_size or 1) > 1 and self.training_seeds == "block"

    @property
    def masks_between_looks(self) -> int:
        """Masks between two looks of the stopping rule: a block; for a resolved study."""
        size = self.block_size or 1
        return size if size > 1 else _INDEPENDENT_MASKS_BETWEEN_LOOKS

    @field_validator("segment_length")
    @classmethod
    def _positive(cls, value: int | str | None) -> int | str | None:
        if isinstance(value, int) and value < 1:
            raise ValueError("a segment has at least 1 frame; or write 'all' or 'auto'")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.segment_length is None) == (self.boundaries is None):
            raise ValueError("give either segment_length or boundaries (with segment_length: null)")
        if self.design == "foldover" and self.keep_probability != 0.5:
            raise ValueError(
                f"the foldover design keeps half of the segments, but keep_probability is "
                f"{self.keep_probability}: use design 'balanced' or keep_probability 0.5"
            )
        if self.training_seeds == "pair" and self.design not in ("auto", "foldover"):
            raise ValueError(
                f"training_seeds 'pair' is for the foldover design, whose masks come in pairs of "
                f"complements, but the design is {self.design!r}"
            )
        return self


class Evaluation(StudyPart):
    """How a policy is evaluated.

    Attributes:
        n_episodes: Episodes per retraining.
        deterministic: Most likely actions (True) or sampled ones (False).
        epsilon: Probability of a uniformly random action at each step (the paper: 0.1).
        max_steps: Steps after which an episode is cut; the environment's own limit when left out.
        score: `return`, or `info:<key>` for a number in `info` at the end of an episode.
        backend: `gymnasium` (environments one by one), `batched` (compiled equations, for the
            environments that have them), `envpool` (fast, equal in distribution), or `auto`:
            `batched` where there is one, else `gymnasium`.
        reuse_environments: Use gymnasium's environments again for other policies. Where that is
            found to change what a policy sees, every policy gets new ones whatever is said here.
    """

    n_episodes: _Episodes = Field(default=20, ge=1)
    deterministic: bool = True
    epsilon: float = Field(default=0.0, ge=0, le=1)
    max_steps: int | None = Field(default=None, ge=1)
    score: str = Field(default="return", pattern=r"^(return|info:.+)$")
    backend: BackendChoice = "auto"
    reuse_environments: Annotated[bool, AddedField(True)] = True

    @property
    def unit(self) -> str:
        """Unit of the scores: `episode_return`, or the name of another score."""
        return "episode_return" if self.score == "return" else self.score


class Budget(StudyPart):
    """How much is spent; extending it reuses the ledger.

    Attributes:
        retrainings: Masks to retrain on.
        baseline_retrainings: Retrainings on all frames, each with its own seed.
    """

    retrainings: _Retrainings = Field(default=384, ge=1)
    baseline_retrainings: _Retrainings = Field(default=20, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, value: Any) -> Any:
        return {"retrainings": value} if isinstance(value, int) else value


class Until(StudyPart):
    """When to stop before the budget is spent: at the first block's end that satisfies.

    Attributes:
        reliability: Of the ranking, compared between blocks.
        verdicts: Every segment has a verdict.
        seconds: Of work; no block is begun that would not end in time.
    """

    reliability: float | None = Field(default=None, gt=0, lt=1)
    verdicts: bool = False
    seconds: float | None = Field(default=None, gt=0)

    @property
    def has_goal(self) -> bool:
        """Whether a reliability or verdicts are required."""
        return self.reliability is not None or self.verdicts

    @property
    def may_end_early(self) -> bool:
        """Whether the study may stop before its budget is spent."""
        return self.has_goal or self.seconds is not None


class VerdictRule(StudyPart):
    """How segments are judged.

    Attributes:
        level: False discovery rate; intervals cover 1 - level.
        margin: Effects inside +- this share of all frames' return above random actions are
            negligible.
        simultaneous: Intervals cover all segments at once.
    """

    level: float = Field(default=0.05, gt=0, lt=0.5)
    margin: float = Field(default=0.02, gt=0)
    simultaneous: bool = False


class DemonstratedReturn(StudyPart):
    """What the demonstrations themselves returned.

    Attributes:
        mean: Mean return of an episode.
        n_whole: Demonstrations that ended by themselves or at the step limit; the mean is theirs.
        n_cut: Others; where none is whole the mean is theirs, as if they had gone on at the same
            rate to the step limit.
    """

    mean: float
    n_whole: int
    n_cut: int


class Prediction(StudyPart):
    """What a pilot predicted of a study, to be compared with what happens.

    Attributes:
        reliability: Of the ranking.
        reliability_low: Lower end of an 80 % interval.
        reliability_high: Its upper end.
        retrainings: Of the design.
        seconds: Of work with one worker.
    """

    reliability: float
    reliability_low: float
    reliability_high: float
    retrainings: int
    seconds: float


class Execution(StudyPart):
    """How the work is cut up.

    Attributes:
        shard_size: Masks that a worker retrains in one call; filled in when left out.
        threads: Threads of the numerical libraries in each worker.
        time_limit: Seconds that one retraining may take, or None.
        max_failed_share: Share of failed retrainings above which the study ends with an error.
    """

    shard_size: int | None = Field(default=None, ge=1)
    threads: _Threads = Field(default=1, ge=1)
    time_limit: float | None = Field(default=None, gt=0)
    max_failed_share: float = Field(default=0.1, ge=0, le=1)
