"""Episodes in envpool: many environments that advance together in compiled code.

They equal gymnasium's in distribution but not step by step: the same seed gives another start.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2rise.environments import Environment
from r2rise.errors import EnvironmentMismatch, require
from r2rise.evaluation.steps import Step, info_number
from r2rise.study.parts import Evaluation
from r2rise.study.specs import EnvironmentSpec


def refusal(_evaluation: Evaluation, environment: EnvironmentSpec) -> str | None:
    """Return why envpool cannot run the episodes of a study, or None if it can.

    Raises:
        MissingExtra: When envpool is not installed.
    """
    require("envpool", "evaluation.backend 'envpool'", "envpool")
    import envpool

    if environment.is_plain and environment.id in envpool.list_all_envs():
        return None
    return (
        f"envpool has no environment {environment.id!r} without kwargs: use "
        f"evaluation.backend 'gymnasium'."
    )


class PoolEpisodes:
    """One environment of a pool per episode, each with its own seed.

    Attributes:
        observations: (n, *obs_shape) current observation of each episode.
    """

    def __init__(self, environment: Environment, seeds: NDArray[np.int64], n_policies: int) -> None:
        self._environment, self._seeds = environment, seeds
        space = environment.observation_space
        n = len(seeds) * n_policies
        self.observations = np.zeros((n, *(space.shape or ())), dtype=space.dtype)
        self._infos: dict[str, NDArray[Any]] = {}

    def reset(self, n_policies: int) -> None:
        """Start the episodes in a new pool, since an existing pool cannot be reseeded."""
        import envpool

        seeds = np.tile(self._seeds, n_policies).tolist()
        with warnings.catch_warnings():
            # gymnasium 1.x warns about the float64 bounds of envpool's float32 spaces
            warnings.filterwarnings("ignore", message=".*precision lowered by casting")
            self._pool = envpool.make_gymnasium(
                self._environment.spec.id, num_envs=len(seeds), seed=seeds, num_threads=1
            )
            space = self._pool.action_space
            first_observations, _ = self._pool.reset()
        if first_observations.shape[1:] != self.observations.shape[1:]:
            raise EnvironmentMismatch(
                f"Observations of {self._environment.spec.id!r} have the shape "
                f"{first_observations.shape[1:]} in envpool, but {self.observations.shape[1:]} in "
                f"gymnasium: use evaluation.backend 'gymnasium'."
            )
        self.observations[: len(seeds)] = first_observations
        self._actions = np.zeros((len(seeds), *space.shape), space.dtype)

    def step(self, rows: NDArray[np.int64], actions: NDArray[Any]) -> Step:
        """Advance some episodes; the pool also advances all others, whose results are discarded."""
        self._actions[rows] = actions
        observations, rewards, terminated, truncated, infos = self._pool.step(self._actions)
        self.observations[rows] = observations[rows]
        for key, values in infos.items():
            if isinstance(values, np.ndarray) and values.ndim == 1:
                column = self._infos.setdefault(key, np.zeros(len(self.observations)))
                column[rows] = values[rows]
        return rewards[rows].astype(np.float64), (terminated | truncated)[rows]

    def info(self, key: str, rows: range) -> NDArray[np.float64]:
        """Return a number from the last `info` of some episodes, (n_rows,)."""
        infos = [{name: values[row] for name, values in self._infos.items()} for row in rows]
        return np.array([info_number(info, key) for info in infos])
