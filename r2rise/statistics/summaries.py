"""The parts of an importance map, as saved in its JSON."""

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema

from r2rise.study.choices import EstimatorName
from r2rise.study.validation import without_pydantic


def _to_floats(value: Any) -> Any:
    if not isinstance(value, list | tuple | np.ndarray):
        raise ValueError("expected a list of numbers and nulls")
    return np.array([np.nan if v is None else v for v in value], dtype=np.float64)


def _to_ints(value: Any) -> Any:
    if not isinstance(value, list | tuple | np.ndarray):
        raise ValueError("expected a list of whole numbers")
    array = np.array(value)
    if array.size and array.dtype.kind not in "iu":
        raise ValueError("expected a list of whole numbers")
    return array.astype(np.int64)


def _from_floats(array: NDArray[np.float64]) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in array]


# Spelt out: from numpy 2.5 on, NDArray is an alias that leaves the titles out of JSON schemas.
FloatList = Annotated[
    np.ndarray[tuple[Any, ...], np.dtype[np.float64]],
    BeforeValidator(_to_floats),
    PlainSerializer(_from_floats, return_type=list[float | None]),
    WithJsonSchema({"type": "array", "items": {"type": ["number", "null"]}}),
]
"""(n,) float64; NaN is null in JSON."""

IntList = Annotated[
    np.ndarray[tuple[Any, ...], np.dtype[np.int64]],
    BeforeValidator(_to_ints),
    PlainSerializer(lambda array: array.tolist(), return_type=list[int]),
    WithJsonSchema({"type": "array", "items": {"type": "integer"}}),
]
"""(n,) int64."""


class MapPart(BaseModel):
    """A part of an importance map."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True, allow_inf_nan=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MapPart):
            return NotImplemented
        return type(self) is type(other) and self.model_dump_json() == other.model_dump_json()

    def __hash__(self) -> int:
        return hash(self.model_dump_json())  # arrays have neither a hash nor a truth value

    def __dir__(self) -> list[str]:
        return without_pydantic(super().__dir__())


class Dataset(MapPart):
    """The demonstrations: content hash and frames of each."""

    sha256: str
    lengths: IntList


class EstimatorInfo(MapPart):
    """How the ledger became importance.

    Attributes:
        name: The estimator.
        unit: `episode_return`, or `info:<key>` where the study names another score.
        sign: `positive_helps`, or `order_only` for the two rise estimators.
    """

    name: EstimatorName
    unit: str
    sign: Literal["positive_helps", "order_only"]


class Retrainings(MapPart):
    """How many retrainings there are, and their returns (mean and sd over masks)."""

    done: int
    failed: int
    planned: int
    mean_return: float | None
    std_return: float | None


class AllFrames(MapPart):
    """Returns of retrainings on all frames; `std_error` over retrainings."""

    mean: float
    std_error: float | None
    n_retrainings: int
    n_episodes: int


class RandomPolicy(MapPart):
    """Returns of uniformly random actions; `std_error` over episodes."""

    mean: float
    std_error: float | None
    n_episodes: int


class Baseline(MapPart):
    """What importance is to be compared with."""

    all_frames: AllFrames | None = None
    random_policy: RandomPolicy | None = None

    @property
    def gain(self) -> float | None:
        """Return of all frames minus that of random actions; None where either is unknown."""
        if self.all_frames is None or self.random_policy is None:
            return None
        return self.all_frames.mean - self.random_policy.mean


class SegmentTable(MapPart):
    """Where each segment lies; `length` is null for the user's own boundaries."""

    length: int | Literal["all"] | None
    demonstration: IntList
    start: IntList
    stop: IntList


LEAST_EFFECT = 0.25
"""An effect helps or hurts only if it exceeds this share of the margin."""

Verdict = Literal["helps", "hurts", "negligible", "unresolved"]


class Verdicts(MapPart):
    """What is said of each segment; null where it was not estimated.

    Attributes:
        verdict: (n_segments,) `helps`, `hurts`, `negligible` or `unresolved`.
        lower: (n_segments,) lower end of each importance's interval.
        upper: (n_segments,) its upper end.
        confidence: Of the intervals.
        covers: What they hold for: any training seed (`training_seeds`), or only the one that all
            masks shared (`masks`), which gives no verdicts; null in maps of earlier versions.
        simultaneous: Whether they hold for all segments at once.
        level: False discovery rate of the verdicts.
        margin: Effects inside +- this return are negligible; null where it is unknown.
        more_for_half: Further retrainings that would resolve half of the unresolved segments, if
            their importance is what it seems; null where none is unresolved.
        more_for_all: The same for all of them.
    """

    verdict: tuple[Verdict | None, ...]
    lower: FloatList
    upper: FloatList
    confidence: float
    simultaneous: bool
    level: float
    margin: float | None
    more_for_half: int | None
    more_for_all: int | None
    covers: Literal["training_seeds", "masks"] | None = None

    def count(self, verdict: Verdict) -> int:
        """Return the number of segments with this verdict."""
        return self.verdict.count(verdict)

    @property
    def n_unresolved(self) -> int:
        """Number of segments without a verdict so far."""
        return self.count("unresolved")


class DemonstrationTable(MapPart):
    """The summed importance of the segments of each demonstration; null = unknown.

    Attributes:
        importance: (n_demonstrations,) in return units.
        std_error: (n_demonstrations,) standard errors.
        verdicts: What is said of each; null where the map has none.
    """

    importance: FloatList
    std_error: FloatList
    verdicts: Verdicts | None


class VarianceSplit(MapPart):
    """Where the variance of one retraining's mean return comes from, in squared return units.

    Attributes:
        masks: Which frames are kept.
        training_seeds: Initial weights and batch order.
        masks_by_seeds: That masks matter differently with different training seeds.
        episodes: Chance in the evaluation episodes.
    """

    masks: float
    training_seeds: float
    masks_by_seeds: float
    episodes: float

    @property
    def total(self) -> float:
        """Sum of all parts."""
        return self.masks + self.training_seeds + self.masks_by_seeds + self.episodes

    def shares(self) -> dict[str, float]:
        """Return each part's share of the total, 0 where there is no variance."""
        parts = self.model_dump()
        return {
            name: value / self.total if self.total > 0 else 0.0 for name, value in parts.items()
        }


StopReason = Literal["goal", "time"]


class Stopped(MapPart):
    """Why a study ended before its budget.

    Attributes:
        reason: `goal` (what was asked for is reached) or `time`.
        seconds: Of work until then; null where it was not kept.
    """

    reason: StopReason
    seconds: float | None

    def reason_words(self) -> str:
        """Return the reason as a clause."""
        return {"goal": "the goal was reached", "time": "time was up"}[self.reason]


LOW_RELIABILITY = 0.5
"""Reliability below which much of a ranking is not reproducible."""


class Quality(MapPart):
    """How far the map can be trusted; null where it is unknown."""

    equal_importance_p: float | None
    reliability: float | None
    reliability_method: Literal["blocks", "model"]
