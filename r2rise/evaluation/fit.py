"""Checks that demonstrations fit an environment."""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from r2rise.data.demonstrations import Demonstrations
from r2rise.environments import Environment, discrete_bounds
from r2rise.errors import EnvironmentMismatch


def check_demonstrations(demonstrations: Demonstrations, environment: Environment) -> int:
    """Check observations and actions against the spaces of the environment.

    Returns:
        The number of frames with actions outside the bounds of a Box, which are allowed.

    Raises:
        EnvironmentMismatch: When a shape, dtype or discrete value does not fit its space.
    """
    name = environment.spec.id
    _check_array("obs", demonstrations.obs, environment.observation_space, name)
    _check_array("acts", demonstrations.acts, environment.action_space, name)
    space = environment.action_space
    if not isinstance(space, spaces.Box):
        return 0
    is_outside = (demonstrations.acts < space.low) | (demonstrations.acts > space.high)
    return int(is_outside.reshape(len(is_outside), -1).any(axis=1).sum())


def _check_array(key: str, array: NDArray[Any], space: spaces.Space[Any], name: str) -> None:
    shape, dtype = space.shape, np.dtype(space.dtype)
    if array.shape[1:] != shape:
        raise EnvironmentMismatch(
            f"{key} has shape {array.shape[1:]} for each frame, but environment {name!r} expects "
            f"{shape}: {space}.",
            field="environment.id",
        )
    if not np.can_cast(array.dtype, dtype, casting="same_kind"):
        raise EnvironmentMismatch(
            f"{key} has dtype {array.dtype}, which cannot be cast to {dtype} of environment "
            f"{name!r} ({space}). Convert it before saving.",
            field="environment.id",
        )
    if isinstance(space, spaces.Box):
        return
    low, high = discrete_bounds(space)
    if len(array) and ((array < low) | (array > high)).any():
        raise EnvironmentMismatch(
            f"{key} has values from {array.min()} to {array.max()}, but environment {name!r} "
            f"expects {space}.",
            field="environment.id",
        )
