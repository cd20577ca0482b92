"""The importance of every planted segment, as measured by `measuring`."""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from r2rise_envs.planted.takes import TAKES, Kind

Floats = NDArray[np.float64]

IDS = tuple(TAKES)
"""Ids of the planted environments."""
_FOLDER = Path(__file__).parent / "known"


class Worth(BaseModel):
    """Importance of a segment, in units of the return.

    Attributes:
        demonstration, start, stop: The segment's frames.
        kind: Planted kind of the segment.
        importance: E[return, kept] - E[return, masked], all others kept with probability 0.5.
        leave_one_out: Return with all segments minus the return without this one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    demonstration: int
    start: int
    stop: int
    kind: Kind
    importance: float
    leave_one_out: float


class Lesson(BaseModel):
    """Segments with identical frames.

    Attributes:
        segments: Indices of the segments.
        joint: E[return, all of them kept] - E[return, all of them masked].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    segments: tuple[int, ...]
    joint: float


class Truth(BaseModel):
    """The importance of every segment to the learner `Table`.

    Attributes:
        environment: Id of the environment.
        return_all_frames: Return of the policy that is trained on all frames.
        return_half: Mean return over all masks.
        segments: All segments, in order.
        lessons: Groups of segments that teach the same.
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
        """Return a mask of the segments of these kinds, (n_segments,) bool."""
        return np.array([segment.kind in kinds for segment in self.segments])


@cache
def truth(environment_id: str) -> Truth:
    """Return the stored truth about a planted environment."""
    text = path(environment_id).read_text(encoding="utf-8")
    return Truth.model_validate_json(text)


def path(environment_id: str) -> Path:
    """Return the file that stores the truth about a planted environment."""
    return _FOLDER / f"{environment_id.removeprefix('r2rise/')}.json"
