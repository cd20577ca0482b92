"""The equations of gymnasium's Pendulum for batches of states, bitwise equal to gymnasium's."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def observe(states: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the observations of states, (n, 2): cosine and sine of the angle and speed, (n, 3)."""
    angle, speed = states[:, 0], states[:, 1]
    return np.stack([np.cos(angle), np.sin(angle), speed], axis=1).astype(np.float32)


def step(
    states: NDArray[np.float64], torque: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the next states, (n, 2), and the rewards, (n,).

    The torque and its factors are float32, as in gymnasium.
    """
    angle, speed = states[:, 0], states[:, 1]
    wrapped_angle = ((angle + np.pi) % (2 * np.pi)) - np.pi
    torque = torque.astype(np.float32)
    cost = _squares(wrapped_angle) + 0.1 * _squares(speed) + np.float32(0.001) * _squares(torque)
    speed = speed + (15.0 * np.sin(angle) + np.float32(3.0) * torque) * 0.05
    speed = np.clip(speed, -8.0, 8.0)
    return np.stack([angle + speed * 0.05, speed], axis=1), -cost


def _squares(values: NDArray[Any]) -> NDArray[Any]:
    """Return squares of NumPy scalars, as gymnasium computes them.

    Squares of arrays may differ from these in the last bit.
    """
    return np.array([value**2 for value in values], dtype=values.dtype)
