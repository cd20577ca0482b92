"""Where episodes happen: gymnasium's environments one by one, or compiled equations at once."""

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
    """Return the backend of a study: `batched` where there is one, whatever is installed.

    Raises:
        StudyError: When the backend asked for does not have this environment.
        MissingExtra: When `envpool` is asked for and not installed.
    """
    plain = not environment.kwargs and not environment.obs_keys and environment.factory is None
    batched = plain and environment.id in DYNAMICS and evaluation.score == "return"
    if evaluation.backend == "auto":
        return "batched" if batched else "gymnasium"
    if evaluation.backend == "batched" and not batched:
        raise StudyError(
            f"evaluation.backend 'batched' is for {', '.join(DYNAMICS)} without kwargs and with "
            f"score 'return', not for {environment.id!r}: use 'gymnasium'.",
            field="evaluation.backend",
        )
    if evaluation.backend == "envpool" and not (plain and environment.id in _pool_ids()):
        raise StudyError(
            f"envpool has no environment {environment.id!r} without kwargs: use "
            f"evaluation.backend 'gymnasium'.",
            field="evaluation.backend",
        )
    return evaluation.backend


def _pool_ids() -> list[str]:
    require("envpool", "evaluation.backend 'envpool'", "envpool")
    import envpool

    return list(envpool.list_all_envs())


class KeptEnvironments:
    """Gymnasium's environments that earlier policies acted in, to be used again."""

    def __init__(self) -> None:
        self._envs: list[GymEnv] = []

    @contextmanager
    def lent(self, environment: Environment, seeds: list[int]) -> Iterator[list[GymEnv]]:
        """Lend an environment for each seed; where something is raised meanwhile, none is kept."""
        try:
            for seed in seeds[len(self._envs) :]:
                self._envs.append(environment.make(seed))
            yield self._envs[: len(seeds)]
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all of them."""
        envs, self._envs = self._envs, []
        for env in envs:
            env.close()


@contextmanager
def open_episodes(
    environment: Environment,
    evaluation: Evaluation,
    seeds: NDArray[np.int64],
    n_policies: int,
    kept: KeptEnvironments | None = None,
) -> Iterator[Episodes]:
    """Open the episodes of some policies, (n_episodes,) seeds for each.

    Args:
        environment: Where they are.
        evaluation: Backend, and whether environments may be used again.
        seeds: One for each episode of a policy.
        n_policies: Policies side by side.
        kept: Gymnasium's environments of earlier calls, to be used where they may be.
    """
    match resolve_backend(evaluation, environment.spec):
        case "batched":
            yield _Arrays(DYNAMICS[environment.spec.id], seeds, n_policies)
        case "envpool":
            from r2rise.evaluation.pool import PoolEpisodes

            yield PoolEpisodes(environment, seeds, n_policies)
        case "gymnasium":
            own = KeptEnvironments()
            lender = kept if kept is not None and evaluation.reuse_environments else own
            tiled = np.tile(seeds, n_policies).tolist()
            try:
                with lender.lent(environment, tiled) as envs:
                    yield _Gymnasium(environment, envs, tiled, len(seeds))
            finally:
                own.close()


class _Gymnasium:
    """An environment for each episode; the reference."""

    def __init__(
        self, environment: Environment, envs: list[GymEnv], seeds: list[int], n_episodes: int
    ) -> None:
        self._envs, self._seeds, self._n_episodes = envs, seeds, n_episodes
        self._infos: list[dict[str, Any]] = [{} for _ in envs]
        space = environment.observation_space
        self.observations = np.zeros((len(envs), *(space.shape or ())), dtype=space.dtype)

    def reset(self, n_policies: int) -> None:
        for row in range(n_policies * self._n_episodes):
            begun = begin_episode(self._envs[row], self._seeds[row])
            self.observations[row], self._infos[row] = begun

    def step(self, rows: NDArray[np.int64], actions: NDArray[Any]) -> Step:
        rewards, ended = np.zeros(len(rows)), np.zeros(len(rows), dtype=bool)
        for i, row in enumerate(rows.tolist()):
            observation, reward, terminated, truncated, info = self._envs[row].step(actions[i])
            self.observations[row], self._infos[row] = observation, info
            rewards[i], ended[i] = float(reward), terminated or truncated
        return rewards, ended

    def info(self, key: str, rows: range) -> NDArray[np.float64]:
        return np.array([info_number(self._infos[row], key) for row in rows])


class _Arrays:
    """All episodes as one array of states."""

    def __init__(self, dynamics: Dynamics, seeds: NDArray[np.int64], n_policies: int) -> None:
        self._dynamics = dynamics
        self._starts = dynamics.initial(seeds)
        n = len(seeds) * n_policies
        self.observations = np.zeros((n, dynamics.n_observed), dtype=np.float32)

    def reset(self, n_policies: int) -> None:
        self._states = np.tile(self._starts, (n_policies, 1))
        self.observations[: len(self._states)] = self._observe(self._states)

    def step(self, rows: NDArray[np.int64], actions: NDArray[Any]) -> Step:
        states, flat = self._states[rows], actions.reshape(len(rows))
        rewards, ended = np.zeros(len(rows)), np.zeros(len(rows), dtype=bool)
        if self._dynamics.kind == PENDULUM:
            states, rewards = pendulum.step(states, flat)
        else:
            from r2rise.evaluation.equations import step_all

            step_all(self._dynamics.kind, states, flat.astype(np.float64), rewards, ended)
        self._states[rows], self.observations[rows] = states, self._observe(states)
        return rewards, ended

    def _observe(self, states: NDArray[np.float64]) -> NDArray[np.float32]:
        pendular = self._dynamics.kind == PENDULUM
        return pendulum.observe(states) if pendular else states.astype(np.float32)

    def info(self, key: str, rows: range) -> NDArray[np.float64]:
        raise StudyError(
            f"The 'batched' backend has no info, and no {key!r} for {len(rows)} episodes."
        )
