"""Episodes in envpool: many environments stepped together in compiled code.

Equal to gymnasium's in distribution, not step for step: the same seed starts elsewhere.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2rise.environments import Environment
from r2rise.errors import EnvironmentMismatch
from r2rise.evaluation.steps import Step, info_number


class PoolEpisodes:
    """An environment of a pool for each episode, each with its own seed.

    Attributes:
        observations: (n, *obs_shape) what each episode shows now.
    """

    def __init__(self, environment: Environment, seeds: NDArray[np.int64], n_policies: int) -> None:
        self._environment, self._seeds = environment, seeds
        space = environment.observation_space
        n = len(seeds) * n_policies
        self.observations = np.zeros((n, *(space.shape or ())), dtype=space.dtype)
        self._infos: dict[str, NDArray[Any]] = {}

    def reset(self, n_policies: int) -> None:
        """Start the episodes in a new pool: an old one cannot be seeded again."""
        import envpool

        seeds = np.tile(self._seeds, n_policies).tolist()
        with warnings.catch_warnings():
            # gymnasium 1.x warns of the float64 bounds that envpool gives its float32 spaces
            warnings.filterwarnings("ignore", message=".*precision lowered by casting")
            self._pool = envpool.make_gymnasium(
                self._environment.spec.id, num_envs=len(seeds), seed=seeds, num_threads=1
            )
            space = self._pool.action_space
            shown, _ = self._pool.reset()
        if shown.shape[1:] != self.observations.shape[1:]:
            raise EnvironmentMismatch(
                f"envpool's {self._environment.spec.id!r} shows observations of shape "
                f"{shown.shape[1:]}, gymnasium's {self.observations.shape[1:]}: use "
                f"evaluation.backend 'gymnasium'."
            )
        self.observations[: len(seeds)] = shown
        self._actions = np.zeros((len(seeds), *space.shape), space.dtype)

    def step(self, rows: NDArray[np.int64], actions: NDArray[Any]) -> Step:
        """Advance some episodes; those that have ended go on unseen."""
        self._actions[rows] = actions
        shown, rewards, terminated, truncated, infos = self._pool.step(self._actions)
        self.observations[rows] = shown[rows]
        for key, values in infos.items():
            if isinstance(values, np.ndarray) and values.ndim == 1:
                kept = self._infos.setdefault(key, np.zeros(len(self.observations)))
                kept[rows] = values[rows]
        return rewards[rows].astype(np.float64), (terminated | truncated)[rows]

    def info(self, key: str, rows: range) -> NDArray[np.float64]:
        """Return a number from the last `info` of some episodes, (n_rows,)."""
        columns = [{name: values[row] for name, values in self._infos.items()} for row in rows]
        return np.array([info_number(column, key) for column in columns])
