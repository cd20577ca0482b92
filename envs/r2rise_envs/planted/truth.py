"""What every planted segment is worth, as `measuring` found."""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from r2rise_envs.planted.takes import TAKES, Kind

Floats = NDArray[np.float64]

IDS = tuple(TAKES)
"""The planted environments."""
_KNOWN = Path(__file__).parent / "known"


class Worth(BaseModel):
    """What a segment is worth, in units of the return.

    Attributes:
        demonstration, start, stop: Where it lies.
        kind: What was planted.
        importance: E[return, kept] - E[return, masked], all others kept with probability 0.5.
        leave_one_out: Return from all frames less the return without this segment.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    demonstration: int
    start: int
    stop: int
    kind: Kind
    importance: float
    leave_one_out: float


class Lesson(BaseModel):
    """Segments of the very same frames.

    Attributes:
        segments: Their numbers.
        joint: E[return, all of them kept] - E[return, all of them masked].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    segments: tuple[int, ...]
    joint: float


class Truth(BaseModel):
    """The worth of every segment to the learner `Table`.

    Attributes:
        environment: The id.
        return_all_frames: Return of the policy from all frames.
        return_half: Mean return over all masks.
        segments: All segments, in order.
        lessons: What more than one segment teaches.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    environment: str
    return_all_frames: float
    return_half: float
    segments: tuple[Worth, ...]
    lessons: tuple[Lesson, ...]

    @property
    def importance(self) -> Floats:
        """Importance of every segment, (n_segments,)."""
        return np.array([segment.importance for segment in self.segments])

    def are(self, *kinds: Kind) -> NDArray[np.bool_]:
        """Return which segments are of one of these kinds, (n_segments,) bool."""
        return np.array([segment.kind in kinds for segment in self.segments])


@cache
def truth(environment_id: str) -> Truth:
    """Return the stored truth about a planted environment."""
    text = path(environment_id).read_text(encoding="utf-8")
    return Truth.model_validate_json(text)


def path(environment_id: str) -> Path:
    """Return where the truth about a planted environment is stored."""
    return _KNOWN / f"{environment_id.removeprefix('r2rise/')}.json"
