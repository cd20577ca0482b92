"""The planted demonstrations: who did what in which segment, and what kind of segment that is."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from r2rise.data.demonstrations import Demonstrations
from r2rise.environments import Environment
from r2rise.errors import UnknownName, suggestion
from r2rise.study.specs import EnvironmentSpec
from r2rise_envs.planted.experts import expert
from r2rise_envs.planted.mazes import MOVES

CORRIDOR, ROUNDS, REACH = (f"r2rise/Planted{name}-v0" for name in ("Corridor", "Rounds", "Reach"))

Kind = Literal["decisive", "redundant", "useless", "harmful"]
"""What a segment is:

* `decisive`: nothing else teaches this; without it the return is lost.
* `redundant`: other segments teach exactly the same.
* `useless`: waiting where no action has an effect.
* `harmful`: wrong actions, in more frames than the right ones have.
"""

SEGMENT_LENGTH = 10
"""Frames of every part of a take; that of a study's defaults, so that no boundary is cut."""
_RIGHT_STEPS = 3  # before a failed take gets stuck


class Part(NamedTuple):
    """A segment of a take.

    Attributes:
        behaviour: `expert`; `wait`; `wrong`: pushes a wall, or steers away from the goal; `stuck`:
            a few right steps, then `wrong`.
        kind: What the segment is.
        again: Whether it begins at the start again: a take that should have been cut off.
    """

    behaviour: Literal["expert", "wait", "wrong", "stuck"]
    kind: Kind
    again: bool = False


class Take(NamedTuple):
    """One demonstration: where it starts, and its parts."""

    start: int
    parts: tuple[Part, ...]


@dataclass(frozen=True, eq=False)
class Planted:
    """Demonstrations of known worth.

    Attributes:
        demonstrations: All takes.
        kinds: (n_segments,) kind of each segment of 10 frames.
        starts: (n_segments,) the environment's start that its demonstration belongs to; it is of
            no use for the others.
    """

    demonstrations: Demonstrations
    kinds: tuple[Kind, ...]
    starts: tuple[int, ...]


WAIT = Part("wait", "useless")
DECISIVE, REDUNDANT = Part("expert", "decisive"), Part("expert", "redundant")
WRONG, STUCK = Part("wrong", "harmful"), Part("stuck", "harmful")
DARK_AGAIN, STUCK_AGAIN = WAIT._replace(again=True), STUCK._replace(again=True)

TAKES: dict[str, tuple[Take, ...]] = {
    CORRIDOR: (
        Take(0, (REDUNDANT, DECISIVE, WAIT, WAIT, STUCK_AGAIN)),
        *[Take(0, (REDUNDANT,))] * 3,
        Take(0, (REDUNDANT, WRONG)),
    ),
    ROUNDS: (
        Take(0, (WAIT, DECISIVE)),
        Take(1, (WAIT, DECISIVE)),
        *[Take(2, (WAIT, REDUNDANT))] * 4,
        *[Take(3, (WAIT, REDUNDANT))] * 2,
        *[Take(4, (WAIT, REDUNDANT))] * 3,
        Take(4, (WAIT, WRONG)),
        Take(5, (WAIT, REDUNDANT, DARK_AGAIN, STUCK)),
        Take(5, (WAIT, REDUNDANT)),
    ),
    REACH: (
        Take(0, (WAIT, DECISIVE)),
        Take(3, (WAIT, DECISIVE)),
        *[Take(1, (WAIT, REDUNDANT))] * 4,
        *[Take(4, (WAIT, REDUNDANT))] * 2,
        *[Take(2, (WAIT, REDUNDANT))] * 2,
        Take(2, (WAIT, WRONG)),
        Take(5, (WAIT, REDUNDANT, DARK_AGAIN, WRONG)),
        Take(5, (WAIT, REDUNDANT)),
    ),
}


def planted(environment_id: str) -> Planted:
    """Let the scripted expert, and others, demonstrate in a planted environment.

    Raises:
        UnknownName: When it is not a planted environment.
    """
    if environment_id not in TAKES:
        raise UnknownName(
            f"{environment_id!r} is no planted environment. {suggestion(environment_id, TAKES)}"
        )
    takes = TAKES[environment_id]
    recorder = _Recorder(environment_id)
    recorded = [recorder.record(take) for take in takes]
    parts = [(take.start, part.kind) for take in takes for part in take.parts]
    demonstrations = Demonstrations(
        obs=np.concatenate([obs for obs, _, _ in recorded]),
        acts=np.concatenate([acts for _, acts, _ in recorded]),
        lengths=np.array([len(acts) for _, acts, _ in recorded]),
        rews=np.concatenate([rewards for _, _, rewards in recorded]),
        meta={"environment": environment_id, "source": "r2rise_envs.planted"},
    )
    return Planted(
        demonstrations,
        kinds=tuple(kind for _, kind in parts),
        starts=tuple(start for start, _ in parts),
    )


class _Recorder:
    """Records takes, one step after another."""

    def __init__(self, environment_id: str) -> None:
        environment = Environment(EnvironmentSpec(id=environment_id))
        self._env = environment.make(0).unwrapped
        self._expert = expert(environment)
        self._is_maze = environment_id != REACH

    def record(self, take: Take) -> tuple[Any, Any, Any]:
        """Return the observations, one more than the actions, the actions and the rewards."""
        rows = list(self._rows(take))
        before, acts, rewards, after = (np.array(column) for column in zip(*rows, strict=True))
        space = self._env.action_space
        return np.concatenate([before, after[-1:]]), acts.astype(space.dtype), rewards

    def _rows(self, take: Take) -> Iterator[tuple[Any, Any, float, Any]]:
        observation, _ = self._env.reset(options={"start": take.start})
        for part in take.parts:
            if part.again:
                observation, _ = self._env.reset(options={"start": take.start})
            for step in range(SEGMENT_LENGTH):
                action = self._act(part, step, observation)
                following, reward, *_ = self._env.step(action)
                yield observation, action, float(reward), following
                observation = following

    def _act(self, part: Part, step: int, observation: Any) -> Any:
        right = self._expert.predict(observation[None])[0][0]
        match part.behaviour:
            case "wait":
                return np.zeros_like(right)
            case "wrong":
                return self._wrong(right)
            case "stuck" if step >= _RIGHT_STEPS:
                return self._wrong(right)
            case _:
                return right

    def _wrong(self, right: Any) -> Any:
        """Push against a wall; or steer straight away from the goal."""
        if not self._is_maze:
            return -right
        maze: Any = self._env
        return np.int64(next(move for move in range(1, len(MOVES)) if maze.is_blocked(move)))
