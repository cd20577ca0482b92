"""Measure the importance of every planted segment by retraining on all masks.

    python -m r2rise_envs.planted.measuring    # rewrites known/*.json

The learner is `Table`. Each start of an environment has its own demonstrations, and no other
demonstration affects the episodes from there. It is therefore sufficient to retrain on each of the
2^k masks of the start's k segments, with all others masked, and to play one deterministic episode.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2rise.environments import Environment
from r2rise.observations import GymEnv
from r2rise.study.specs import EnvironmentSpec
from r2rise_envs.planted.learner import Table
from r2rise_envs.planted.takes import Planted, planted
from r2rise_envs.planted.truth import IDS, Lesson, Truth, Worth, path


def measure(environment_id: str) -> Truth:
    """Return the truth about an environment, from retraining on every mask of every start."""
    dataset = planted(environment_id)
    environment = Environment(EnvironmentSpec(id=environment_id))
    env = environment.make(0)
    n_starts = len(env.unwrapped.starts)  # type: ignore[attr-defined]
    returns_by_start = [_StartReturns(dataset, environment, env, i) for i in range(n_starts)]
    segments = dataset.demonstrations.segments()
    worth = []
    for index, start in enumerate(dataset.starts):
        start_returns = returns_by_start[start]
        worth.append(
            Worth(
                **segments[index]._asdict(),
                kind=dataset.kinds[index],
                importance=start_returns.joint([index]) / n_starts,
                leave_one_out=start_returns.leave_one_out(index) / n_starts,
            )
        )
    lessons = [
        Lesson(
            segments=tuple(group),
            joint=returns_by_start[dataset.starts[group[0]]].joint(group) / n_starts,
        )
        for group in _identical_segments(dataset)
    ]
    return Truth(
        environment=environment_id,
        return_all_frames=sum(float(r.returns[-1]) for r in returns_by_start) / n_starts,
        return_half=sum(float(r.returns.mean()) for r in returns_by_start) / n_starts,
        segments=tuple(worth),
        lessons=tuple(lessons),
    )


class _StartReturns:
    """The returns from one start for every mask of its segments.

    Attributes:
        segments: (k,) indices of the start's segments.
        returns: (2^k,) returns; bit i of the index is set where segments[i] is kept.
    """

    def __init__(self, dataset: Planted, environment: Environment, env: GymEnv, start: int) -> None:
        self.segments = np.flatnonzero(np.array(dataset.starts) == start)
        kept = np.zeros(len(dataset.starts), dtype=bool)
        all_segments, table = dataset.demonstrations.segments(), Table()
        self.returns = np.zeros(2 ** len(self.segments))
        for index, mask in enumerate(self._masks()):
            kept[self.segments] = mask
            transitions = dataset.demonstrations.transitions(all_segments.frames(kept))
            policy = table.train(transitions, environment, 0, progress=lambda _: None)
            self.returns[index] = play(policy, env, start)

    def _masks(self) -> NDArray[np.bool_]:
        """Return all masks, (2^k, k) bool."""
        bits = np.arange(len(self.returns))[:, None] >> np.arange(len(self.segments))
        return (bits & 1).astype(bool)

    def joint(self, segments: list[int]) -> float:
        """Return the mean return with all of these segments kept minus that with none."""
        kept = self._masks()[:, np.isin(self.segments, segments)]
        with_all, with_none = kept.all(axis=1), ~kept.any(axis=1)
        return float(self.returns[with_all].mean() - self.returns[with_none].mean())

    def leave_one_out(self, segment: int) -> float:
        """Return the loss of return when only this segment is masked."""
        bit = int(np.flatnonzero(self.segments == segment)[0])
        all_kept = len(self.returns) - 1
        return float(self.returns[all_kept] - self.returns[all_kept & ~(1 << bit)])


def play(policy: Any, env: GymEnv, start: int) -> float:
    """Play one episode from a start and return its undiscounted return."""
    observation, _ = env.reset(options={"start": start})
    total, ended = 0.0, False
    while not ended:
        action = policy.predict(np.asarray(observation)[None])[0][0]
        observation, reward, terminated, truncated, _ = env.step(action)
        total, ended = total + float(reward), terminated or truncated
    return total


def _identical_segments(dataset: Planted) -> list[list[int]]:
    """Return the groups of two or more segments with identical frames."""
    groups: dict[bytes, list[int]] = {}
    segments = dataset.demonstrations.segments()
    for index in range(len(segments)):
        mask = np.arange(len(segments)) == index
        frames = dataset.demonstrations.transitions(segments.frames(mask))
        groups.setdefault(frames.obs.tobytes() + frames.acts.tobytes(), []).append(index)
    return [group for group in groups.values() if len(group) > 1]


if __name__ == "__main__":
    for environment_id in IDS:
        text = measure(environment_id).model_dump_json(indent=1) + "\n"
        path(environment_id).write_text(text, encoding="utf-8")
