"""Backends of episodes: single gymnasium environments, batches of states, or envpool."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from r2rise.environments import Environment, begin_episode
from r2rise.errors import StudyError
from r2rise.evaluation import pendulum, pool
from r2rise.evaluation.dynamics import DYNAMICS, PENDULUM, Dynamics
from r2rise.evaluation.steps import Episodes, Step, info_number
from r2rise.observations import GymEnv, in_space
from r2rise.study.choices import Backend
from r2rise.study.parts import Evaluation
from r2rise.study.specs import EnvironmentSpec


def resolve_backend(evaluation: Evaluation, environment: EnvironmentSpec) -> Backend:
    """Return the backend of a study.

    `auto` is `batched` for environments that have it, else `gymnasium`; it does not depend on the
    installed packages.

    Raises:
        StudyError: When the requested backend does not support this environment.
        MissingExtra: When `envpool` is requested and not installed.
    """
    if evaluation.backend == "auto":
        return "gymnasium" if BACKENDS["batched"].refusal(evaluation, environment) else "batched"
    reason = BACKENDS[evaluation.backend].refusal(evaluation, environment)
    if reason is not None:
        raise StudyError(reason, field="evaluation.backend")
    return evaluation.backend


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


def open_episodes(
    environment: Environment,
    evaluation: Evaluation,
    seeds: NDArray[np.int64],
    n_policies: int,
    cache: EnvironmentCache | None = None,
) -> AbstractContextManager[Episodes]:
    """Open the episodes of several policies; all policies get the same seeds.

    Args:
        environment: The environment of the episodes.
        evaluation: Backend, and whether environments may be reused.
        seeds: (n_episodes,) seeds of the episodes of each policy.
        n_policies: Number of policies that are evaluated together.
        cache: Gymnasium environments of earlier calls, used if `evaluation` allows it.
    """
    backend = BACKENDS[resolve_backend(evaluation, environment.spec)]
    reused = cache if evaluation.reuse_environments else None
    return backend.open_episodes(environment, seeds, n_policies, reused)


class _GymnasiumEpisodes:
    """One gymnasium environment per episode; the reference for the other backends."""

    def __init__(
        self, environment: Environment, envs: list[GymEnv], seeds: list[int], n_episodes: int
    ) -> None:
        self._envs, self._seeds, self._n_episodes = envs, seeds, n_episodes
        self._infos: list[dict[str, Any]] = [{} for _ in envs]
        self._space = environment.observation_space
        shape = (len(envs), *(self._space.shape or ()))
        self.observations = np.zeros(shape, dtype=self._space.dtype)

    def reset(self, n_policies: int) -> None:
        for row in range(n_policies * self._n_episodes):
            observation, info = begin_episode(self._envs[row], self._seeds[row])
            self.observations[row] = in_space(observation, self._space)
            self._infos[row] = info

    def step(self, rows: NDArray[np.int64], actions: NDArray[Any]) -> Step:
        rewards, ended = np.zeros(len(rows)), np.zeros(len(rows), dtype=bool)
        for i, row in enumerate(rows.tolist()):
            observation, reward, terminated, truncated, info = self._envs[row].step(actions[i])
            self.observations[row] = in_space(observation, self._space)
            self._infos[row] = info
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


@contextmanager
def _open_gymnasium(
    environment: Environment,
    seeds: NDArray[np.int64],
    n_policies: int,
    cache: EnvironmentCache | None,
) -> Iterator[Episodes]:
    temporary = EnvironmentCache()
    all_seeds = np.tile(seeds, n_policies).tolist()
    try:
        with (cache or temporary).borrow(environment, all_seeds) as envs:
            yield _GymnasiumEpisodes(environment, envs, all_seeds, len(seeds))
    finally:
        temporary.close()


def _batched_refusal(evaluation: Evaluation, environment: EnvironmentSpec) -> str | None:
    if environment.is_plain and environment.id in DYNAMICS and evaluation.score == "return":
        return None
    return (
        f"evaluation.backend 'batched' is for {', '.join(DYNAMICS)} without kwargs and with "
        f"score 'return', not for {environment.id!r}: use 'gymnasium'."
    )


class _Backend(NamedTuple):
    """A backend.

    Attributes:
        open_episodes: Opens the episodes of several policies; arguments as those of
            `open_episodes`, but the cache is None where environments may not be reused.
        max_episodes: Maximal number of simultaneous episodes.
        refusal: Returns why it cannot run the episodes of a study, or None if it can.
    """

    open_episodes: Callable[
        [Environment, NDArray[np.int64], int, EnvironmentCache | None],
        AbstractContextManager[Episodes],
    ]
    max_episodes: int
    refusal: Callable[[Evaluation, EnvironmentSpec], str | None]


BACKENDS: dict[Backend, _Backend] = {
    "gymnasium": _Backend(
        _open_gymnasium,
        max_episodes=64,  # environments are slow to create and not always reused
        refusal=lambda _evaluation, _environment: None,
    ),
    "batched": _Backend(
        lambda environment, seeds, n_policies, _cache: nullcontext(
            _BatchedEpisodes(DYNAMICS[environment.spec.id], seeds, n_policies)
        ),
        max_episodes=4096,  # rows of arrays are cheap
        refusal=_batched_refusal,
    ),
    "envpool": _Backend(
        lambda environment, seeds, n_policies, _cache: nullcontext(
            pool.PoolEpisodes(environment, seeds, n_policies)
        ),
        max_episodes=512,
        refusal=pool.refusal,
    ),
}
