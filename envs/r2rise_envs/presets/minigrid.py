"""MiniGrid's tasks with observations as one vector."""

from typing import Any

import gymnasium as gym
import minigrid.envs
import numpy as np
from gymnasium import spaces
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX, STATE_TO_IDX
from numpy.typing import NDArray

_N_VALUES = (len(OBJECT_TO_IDX), len(COLOR_TO_IDX), len(STATE_TO_IDX))
"""Numbers of objects, colours and (door) states of a cell."""
_N_DIRECTIONS = 4


class OneHot(gym.ObservationWrapper[NDArray[np.float32], np.int64, dict[str, Any]]):
    """One-hot vector of the 7x7 cells in the agent's view and of its direction.

    ## Observation Space
    `Box(0, 1, (984,), float32)`: for each cell, row by row, 11 objects, 6 colours and 3 states,
    then 4 directions of the agent. The text of the mission is omitted.
    """

    def __init__(self, env: gym.Env[dict[str, Any], np.int64]) -> None:
        super().__init__(env)
        n_cells = env.unwrapped.agent_view_size**2  # type: ignore[attr-defined]  # MiniGrid's
        size = n_cells * sum(_N_VALUES) + _N_DIRECTIONS
        self.observation_space = spaces.Box(0.0, 1.0, (size,), np.float32)

    def observation(self, observation: dict[str, Any]) -> NDArray[np.float32]:
        """Return the vector of a dict observation."""
        cells = observation["image"].reshape(-1, len(_N_VALUES))
        parts = [np.eye(n, dtype=np.float32)[cells[:, i]] for i, n in enumerate(_N_VALUES)]
        direction = np.eye(_N_DIRECTIONS, dtype=np.float32)[observation["direction"]]
        return np.concatenate([np.concatenate(parts, axis=1).ravel(), direction])


def make(
    task: str, size: int | None = None, render_mode: str | None = None
) -> gym.Env[NDArray[np.float32], np.int64]:
    """Return a MiniGrid task.

    Args:
        task: Name of the task's class, such as `DoorKeyEnv`.
        size: Cells per side, walls included; None for the task's default.
        render_mode: `rgb_array` for pictures.
    """
    settings = {} if size is None else {"size": size}
    return OneHot(getattr(minigrid.envs, task)(render_mode=render_mode, **settings))
