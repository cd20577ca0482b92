"""Backends of episodes: single gymnasium environments, batches of states, or envpool."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2rise.environments import Environment, GymEnv, begin_episode
from r2rise.errors import StudyError, require
from r2rise.evaluation import pendulum
from r2rise.evaluation.dynamics import DYNAMICS, PENDULUM, Dynamics
from r2rise.evaluation.steps import Episodes, Step, info_number
from r2rise.study.parts import Backend, Evaluation
from r2rise.study.specs import EnvironmentSpec


def resolve_backend(evaluation: Evaluation, environment: EnvironmentSpec) -> Backend:
    """Return the backend of a study.

    `auto` is `batched` for environments that have it, else `gymnasium`; it does not depend on the
    installed packages.

    Raises:
        StudyError: When the requested backend does not support this environment.
        MissingExtra: When `envpool` is requested and not installed.
    """
    is_plain = not environment.kwargs and not environment.obs_keys and environment.factory is None
    can_batch = is_plain and environment.id in DYNAMICS and evaluation.score == "return"
    if evaluation.backend == "auto":
        return "batched" if can_batch else "gymnasium"
    if evaluation.backend == "batched" and not can_batch:
        raise StudyError(
            f"evaluation.backend 'batched' is for {', '.join(DYNAMICS)} without kwargs and with "
            f"score 'return', not for {environment.id!r}: use 'gymnasium'.",
            field="evaluation.backend",
        )
    if evaluation.backend == "envpool" and not (is_plain and environment.id in _envpool_ids()):
        raise StudyError(
            f"envpool has no environment {environment.id!r} without kwargs: use "
            f"evaluation.backend 'gymnasium'.",
            field="evaluation.backend",
        )
    return evaluation.backend


def _envpool_ids() -> list[str]:
    require("envpool", "evaluation.backend 'envpool'", "envpool")
    import envpool

    return list(envpool.list_all_envs())


class EnvironmentCache:
    """Gymnasium environments of earlier policies, for reuse."""

    def __init__(self) -> None:
        self._envs: list[GymEnv] = []

    @contextmanager
    def borrow(self, environment: Environment, seeds: list[int]) -> Iterator[list[GymEnv]]:
        """Provide one environment per seed; an exception in the block empties the cache.

        Missing environments are created with these seeds. Existing ones are not reset.
        """
        try:
            for seed in seeds[len(self._envs) :]:
                self._envs.append(environment.make(seed))
            yield self._envs[: len(seeds)]
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all environments and remove them from the cache."""
        envs, self._envs = self._envs, []
        for env in envs:
            env.close()


@contextmanager
def open_episodes(
    environment: Environment,
    evaluation: Evaluation,
    seeds: NDArray[np.int64],
    n_policies: int,
    cache: EnvironmentCache | None = None,
) -> Iterator[Episodes]:
    """Open the episodes of several policies; all policies get the same seeds.

    Args:
        environment: The environment of the episodes.
        evaluation: Backend, and whether environments may be reused.
        seeds: (n_episodes,) seeds of the episodes of each policy.
        n_policies: Number of policies that are evaluated together.
        cache: Gymnasium environments of earlier calls, used if `evaluation` allows it.
    """
    match resolve_backend(evaluation, environment.spec):
        case "batched":
            yield _BatchedEpisodes(DYNAMICS[environment.spec.id], seeds, n_policies)
        case "envpool":
            from r2rise.evaluation.pool import PoolEpisodes

            yield PoolEpisodes(environment, seeds, n_policies)
        case "gymnasium":
            temporary = EnvironmentCache()
            source = cache if cache is not None and evaluation.reuse_environments else temporary
            all_seeds = np.tile(seeds, n_policies).tolist()
            try:
                with source.borrow(environment, all_seeds) as envs:
                    yield _GymnasiumEpisodes(environment, envs, all_seeds, len(seeds))
            finally:
                temporary.close()


class _GymnasiumEpisodes:
    """One gymnasium environment per episode; the reference for the other backends."""

    def __init__(
        self, environment: Environment, envs: list[GymEnv], seeds: list[int], n_episodes: int
    ) -> None:
        self._envs, self._seeds, self._n_episodes = envs, seeds, n_episodes
        self._infos: list[dict[str, Any]] = [{} for _ in envs]
        space = environment.observation_space
        self.observations = np.zeros((len(envs), *(space.shape or ())), dtype=space.dtype)

    def reset(self, n_policies: int) -> None:
        for row in range(n_policies * self._n_episodes):
            observation, info = begin_episode(self._envs[row], self._seeds[row])
            self.observations[row], self._infos[row] = observation, info

    def step(self, rows: NDArray[np.int64], actions: NDArray[Any]) -> Step:
        rewards, ended = np.zeros(len(rows)), np.zeros(len(rows), dtype=bool)
        for i, row in enumerate(rows.tolist()):
            observation, reward, terminated, truncated, info = self._envs[row].step(actions[i])
            self.observations[row], self._infos[row] = observation, info
            rewards[i], ended[i] = float(reward), terminated or truncated
        return rewards, ended

    def info(self, key: str, rows: range) -> NDArray[np.float64]:
        return np.array([info_number(self._infos[row], key) for row in rows])


class _BatchedEpisodes:
    """All episodes as rows of one array of states."""

    def __init__(self, dynamics: Dynamics, seeds: NDArray[np.int64], n_policies: int) -> None:
        self._dynamics = dynamics
        self._initial_states = dynamics.initial(seeds)
        n = len(seeds) * n_policies
        self.observations = np.zeros((n, dynamics.n_observed), dtype=np.float32)

    def reset(self, n_policies: int) -> None:
        self._states = np.tile(self._initial_states, (n_policies, 1))
        self.observations[: len(self._states)] = self._observe(self._states)

    def step(self, rows: NDArray[np.int64], actions: NDArray[Any]) -> Step:
        states, flat_actions = self._states[rows], actions.reshape(len(rows))
        rewards, ended = np.zeros(len(rows)), np.zeros(len(rows), dtype=bool)
        if self._dynamics.kind == PENDULUM:
            states, rewards = pendulum.step(states, flat_actions)
        else:
            from r2rise.evaluation.equations import step_all

            float_actions = flat_actions.astype(np.float64)
            step_all(self._dynamics.kind, states, float_actions, rewards, ended)
        self._states[rows], self.observations[rows] = states, self._observe(states)
        return rewards, ended

    def _observe(self, states: NDArray[np.float64]) -> NDArray[np.float32]:
        is_pendulum = self._dynamics.kind == PENDULUM
        return pendulum.observe(states) if is_pendulum else states.astype(np.float32)

    def info(self, key: str, rows: range) -> NDArray[np.float64]:
        raise StudyError(
            f"The 'batched' backend has no info, and no {key!r} for {len(rows)} episodes."
        )
