"""Transitions: the training data of an algorithm."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Transitions:
    """Transitions of the kept frames, the training data of an algorithm.

    Attributes:
        obs: (n, *obs_shape), observation before the action.
        acts: (n, *act_shape), action.
        next_obs: (n, *obs_shape), observation after the action.
        terminal: (n,) bool, True where `next_obs` is a terminal state.
        demonstration: (n,) int64, demonstration of the frame.
        time: (n,) int64, time step of the frame in its demonstration.
        frame: (n,) int64, index of the frame among those of all demonstrations.
        n_frames_in_all: Frames of all demonstrations, kept or masked; `len()` counts kept ones.
    """

    obs: NDArray[Any]
    acts: NDArray[Any]
    next_obs: NDArray[Any]
    terminal: NDArray[np.bool_]
    demonstration: NDArray[np.int64]
    time: NDArray[np.int64]
    frame: NDArray[np.int64]
    n_frames_in_all: int

    def __len__(self) -> int:
        return len(self.acts)
