"""Measure what every planted segment is worth, by retraining on every mask there is.

    python -m r2rise_envs.planted.measuring    # writes known/*.json anew

The learner is `Table`. A start of an environment has demonstrations of its own, and nothing else
is of use there; so it is enough to retrain on each of the 2^k masks of its own k segments, with
all others masked, and to play one episode, in which nothing is random.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2rise.environments import Environment, GymEnv
from r2rise.study.specs import EnvironmentSpec
from r2rise_envs.planted.learner import Table
from r2rise_envs.planted.takes import Planted, planted
from r2rise_envs.planted.truth import IDS, Lesson, Truth, Worth, path


def measure(environment_id: str) -> Truth:
    """Retrain on every mask of every start; see the module."""
    own = planted(environment_id)
    environment = Environment(EnvironmentSpec(id=environment_id))
    env = environment.make(0)
    n_starts = len(env.unwrapped.starts)  # type: ignore[attr-defined]
    found = [_OneStart(own, environment, env, start) for start in range(n_starts)]
    segments = own.demonstrations.segments()
    of_start = [(found[start], number) for number, start in enumerate(own.starts)]
    worth = [
        Worth(
            **segments[number]._asdict(),
            kind=own.kinds[number],
            importance=one.joint([number]) / n_starts,
            leave_one_out=one.leave_one_out(number) / n_starts,
        )
        for one, number in of_start
    ]
    lessons = [
        Lesson(segments=tuple(same), joint=found[own.starts[same[0]]].joint(same) / n_starts)
        for same in _same_frames(own)
    ]
    return Truth(
        environment=environment_id,
        return_all_frames=sum(float(one.returns[-1]) for one in found) / n_starts,
        return_half=sum(float(one.returns.mean()) for one in found) / n_starts,
        segments=tuple(worth),
        lessons=tuple(lessons),
    )


class _OneStart:
    """The returns from one start for every mask of the segments that belong to it.

    Attributes:
        numbers: (k,) numbers of these segments.
        returns: (2^k,) returns; bit i of the index says whether numbers[i] is kept.
    """

    def __init__(self, own: Planted, environment: Environment, env: GymEnv, start: int) -> None:
        self.numbers = np.flatnonzero(np.array(own.starts) == start)
        kept = np.zeros(len(own.starts), dtype=bool)
        segments, table = own.demonstrations.segments(), Table()
        self.returns = np.zeros(2 ** len(self.numbers))
        for index, mask in enumerate(self._masks()):
            kept[self.numbers] = mask
            transitions = own.demonstrations.transitions(segments.frames(kept))
            policy = table.train(transitions, environment, 0, progress=lambda _: None)
            self.returns[index] = play(policy, env, start)

    def _masks(self) -> NDArray[np.bool_]:
        """All masks, (2^k, k) bool."""
        bits = np.arange(len(self.returns))[:, None] >> np.arange(len(self.numbers))
        return (bits & 1).astype(bool)

    def joint(self, numbers: list[int]) -> float:
        """Return the mean return with all of these segments kept less that with none."""
        own = self._masks()[:, np.isin(self.numbers, numbers)]
        with_all, with_none = own.all(axis=1), ~own.any(axis=1)
        return float(self.returns[with_all].mean() - self.returns[with_none].mean())

    def leave_one_out(self, number: int) -> float:
        """Return what is lost when only this segment is masked."""
        bit = int(np.flatnonzero(self.numbers == number)[0])
        everything = len(self.returns) - 1
        return float(self.returns[everything] - self.returns[everything & ~(1 << bit)])


def play(policy: Any, env: GymEnv, start: int) -> float:
    """Return what one episode from a start pays."""
    observation, _ = env.reset(options={"start": start})
    total, ended = 0.0, False
    while not ended:
        action = policy.predict(np.asarray(observation)[None])[0][0]
        observation, reward, terminated, truncated, _ = env.step(action)
        total, ended = total + float(reward), terminated or truncated
    return total


def _same_frames(own: Planted) -> list[list[int]]:
    """Return the groups of two or more segments whose frames are the same."""
    groups: dict[bytes, list[int]] = {}
    segments = own.demonstrations.segments()
    for number in range(len(segments)):
        only = np.arange(len(segments)) == number
        frames = own.demonstrations.transitions(segments.frames(only))
        groups.setdefault(frames.obs.tobytes() + frames.acts.tobytes(), []).append(number)
    return [group for group in groups.values() if len(group) > 1]


if __name__ == "__main__":
    for name in IDS:
        path(name).write_text(measure(name).model_dump_json(indent=1) + "\n", encoding="utf-8")
