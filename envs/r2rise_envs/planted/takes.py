"""The planted demonstrations: behaviour and kind of every segment."""

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
"""Kind of a segment:

* `decisive`: no other segment teaches the same; without it the return is lost.
* `redundant`: other segments teach exactly the same.
* `useless`: waiting where actions have no effect.
* `harmful`: wrong actions, in more frames than the correct ones.
"""

SEGMENT_LENGTH = 10
"""Frames of every part of a take, equal to the finest segments of studies."""
_CORRECT_STEPS = 3  # before a failed take gets stuck


class Part(NamedTuple):
    """A segment of a take.

    Attributes:
        behaviour: `expert`; `wait`; `wrong`: pushes against a wall, or steers away from the goal;
            `stuck`: a few correct steps, then `wrong`.
        kind: Kind of the segment.
        restarts: Whether the part begins at the start again, after a take that should have been
            cut off.
    """

    behaviour: Literal["expert", "wait", "wrong", "stuck"]
    kind: Kind
    restarts: bool = False


class Take(NamedTuple):
    """One demonstration: index of its start, and its parts."""

    start: int
    parts: tuple[Part, ...]


@dataclass(frozen=True, eq=False)
class Planted:
    """Demonstrations with known kinds of segments.

    Attributes:
        demonstrations: All takes.
        kinds: (n_segments,) kind of each segment of 10 frames.
        starts: (n_segments,) index of the environment's start that the segment's demonstration
            begins with; it has no effect on episodes from other starts.
    """

    demonstrations: Demonstrations
    kinds: tuple[Kind, ...]
    starts: tuple[int, ...]


WAIT = Part("wait", "useless")
DECISIVE, REDUNDANT = Part("expert", "decisive"), Part("expert", "redundant")
WRONG, STUCK = Part("wrong", "harmful"), Part("stuck", "harmful")
DARK_AGAIN, STUCK_AGAIN = WAIT._replace(restarts=True), STUCK._replace(restarts=True)

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
    """Return the demonstrations, good and bad ones, of a planted environment.

    Raises:
        UnknownName: When the id is not that of a planted environment.
    """
    if environment_id not in TAKES:
        raise UnknownName(
            f"{environment_id!r} is not a planted environment. {suggestion(environment_id, TAKES)}"
        )
    takes = TAKES[environment_id]
    recorder = _Recorder(environment_id)
    recordings = [recorder.record(take) for take in takes]
    parts = [(take.start, part.kind) for take in takes for part in take.parts]
    demonstrations = Demonstrations(
        obs=np.concatenate([obs for obs, _, _ in recordings]),
        acts=np.concatenate([acts for _, acts, _ in recordings]),
        lengths=np.array([len(acts) for _, acts, _ in recordings]),
        rews=np.concatenate([rewards for _, _, rewards in recordings]),
        meta={"environment": environment_id, "source": "r2rise_envs.planted"},
    )
    return Planted(
        demonstrations,
        kinds=tuple(kind for _, kind in parts),
        starts=tuple(start for start, _ in parts),
    )


class _Recorder:
    """Records takes by running their scripted behaviours in the environment."""

    def __init__(self, environment_id: str) -> None:
        environment = Environment(EnvironmentSpec(id=environment_id))
        self._env = environment.make(0).unwrapped
        self._expert = expert(environment)
        self._is_maze = environment_id != REACH

    def record(self, take: Take) -> tuple[Any, Any, Any]:
        """Return observations, (n + 1, ...), actions, (n, ...), and rewards, (n,)."""
        rows = list(self._rows(take))
        obs, acts, rewards, next_obs = (np.array(column) for column in zip(*rows, strict=True))
        space = self._env.action_space
        return np.concatenate([obs, next_obs[-1:]]), acts.astype(space.dtype), rewards

    def _rows(self, take: Take) -> Iterator[tuple[Any, Any, float, Any]]:
        """Yield (observation, action, reward, next observation) of each step."""
        observation, _ = self._env.reset(options={"start": take.start})
        for part in take.parts:
            if part.restarts:
                observation, _ = self._env.reset(options={"start": take.start})
            for step in range(SEGMENT_LENGTH):
                action = self._act(part, step, observation)
                next_observation, reward, *_ = self._env.step(action)
                yield observation, action, float(reward), next_observation
                observation = next_observation

    def _act(self, part: Part, step: int, observation: Any) -> Any:
        correct_action = self._expert.predict(observation[None])[0][0]
        match part.behaviour:
            case "wait":
                return np.zeros_like(correct_action)
            case "wrong":
                return self._wrong_action(correct_action)
            case "stuck" if step >= _CORRECT_STEPS:
                return self._wrong_action(correct_action)
            case _:
                return correct_action

    def _wrong_action(self, correct_action: Any) -> Any:
        """Return an action that pushes against a wall, or steers straight away from the goal."""
        if not self._is_maze:
            return -correct_action
        maze: Any = self._env
        return np.int64(next(move for move in range(1, len(MOVES)) if maze.is_blocked(move)))
