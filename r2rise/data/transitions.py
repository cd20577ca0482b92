"""What an algorithm is trained on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Transitions:
    """The kept frames, as an algorithm sees them.

    Attributes:
        obs: (n, *obs_shape), observation in which the action was taken.
        acts: (n, *act_shape), action.
        next_obs: (n, *obs_shape), observation that followed.
        terminal: (n,) bool, True where `next_obs` is a terminal state.
        demonstration: (n,) int64, demonstration the frame belongs to.
        time: (n,) int64, its time step there.
        frame: (n,) int64, its index among all frames of all demonstrations.
        n_frames_in_all: Frames of all demonstrations, kept or masked; `len()` is those kept.
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
