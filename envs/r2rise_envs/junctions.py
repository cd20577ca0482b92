"""A corridor of junctions: the smallest task with known important frames."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray


class Junctions(gym.Env[NDArray[np.float32], np.int64]):
    """Walk past a row of junctions and make the correct turn at each.

    ## Description
    The agent advances by one junction per step, whatever its action. A policy that was trained on
    the frame of a junction makes the correct turn there.

    ## Action Space
    `Discrete(2)`: 0 left, 1 right. Right is correct at even junctions, left at odd ones.

    ## Observation Space
    `Box(0, 1, (n_junctions,), float32)`: 1 at the agent's junction, else 0. All zeros at the
    end.

    ## Rewards
    `weights[i]` for the correct turn at junction i, else 0.

    ## Starting State
    Junction 0.

    ## Episode End
    Terminated after the last junction.

    ## Arguments
    * `weights`: reward of each junction; by default 1, 2, ..., 8.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  (gymnasium's form)

    def __init__(self, weights: tuple[float, ...] = (1, 2, 3, 4, 5, 6, 7, 8)) -> None:
        self.weights = tuple(float(weight) for weight in weights)
        n = len(self.weights)
        self.observation_space = spaces.Box(0.0, 1.0, (n,), np.float32)
        self.action_space = spaces.Discrete(2)
        self._junction = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Return to junction 0."""
        super().reset(seed=seed, options=options)
        self._junction = 0
        return self._observation(), {}

    def step(
        self, action: np.int64
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Turn, then advance to the next junction."""
        correct = int(action) == correct_turn(self._junction)
        reward = self.weights[self._junction] if correct else 0.0
        self._junction += 1
        ended = self._junction == len(self.weights)
        return self._observation(), reward, ended, False, {"correct": correct}

    def _observation(self) -> NDArray[np.float32]:
        observation = np.zeros(len(self.weights), dtype=np.float32)
        if self._junction < len(self.weights):
            observation[self._junction] = 1.0
        return observation


def correct_turn(junction: int) -> int:
    """Return the correct action at a junction: 1 at even, 0 at odd ones."""
    return 1 - junction % 2
