"""Recognition of observations that show several frames at once."""

import numpy as np
from numpy.typing import NDArray

from r2rise.data.demonstrations import Demonstrations

_MAX_STACK = 16
_FRAMES_LOOKED_AT = 64


def n_stacked(demonstrations: Demonstrations) -> int:
    """Return how many frames each observation shows; 1 unless observations are stacks.

    A stack is an axis, the first or the last, along which each observation repeats the one before
    it, moved by one. Only the longest demonstration is looked at.
    """
    longest = int(np.argmax(demonstrations.lengths))
    start = int(demonstrations.first_frame[longest]) + longest
    n_frames = min(int(demonstrations.lengths[longest]), _FRAMES_LOOKED_AT)
    obs = demonstrations.obs[start : start + n_frames + 1]
    if obs.ndim < 3:
        return 1
    for axis in (1, -1):
        layers = np.moveaxis(obs, axis, 1)
        is_stack = _moves(layers) or _moves(layers[:, ::-1])
        if 2 <= layers.shape[1] <= _MAX_STACK and is_stack:
            return int(layers.shape[1])
    return 1


def _moves(layers: NDArray[np.generic]) -> bool:
    """Return whether layers (n, n_layers, ...) that differ move up by one with each row."""
    differ = bool((layers[:, 1:] != layers[:, :-1]).any())
    return differ and np.array_equal(layers[:-1, 1:], layers[1:, :-1])
