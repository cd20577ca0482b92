"""Which spaces the algorithms on Stable-Baselines3 can handle."""

from typing import Any

import numpy as np
from gymnasium import spaces

from r2rise.environments import Environment
from r2rise.errors import EnvironmentMismatch

Kinds = tuple[type[spaces.Space[Any]], ...]

SMALLEST_CNN_SIDE = 36
"""Pixels in height and width that the convolutions of Mnih et al. (2015) need."""


def takes_cnn(space: spaces.Space[Any]) -> bool:
    """Say whether observations are images (uint8, 0 to 255) large enough for the CNN."""
    return (
        isinstance(space, spaces.Box)
        and space.dtype == np.uint8
        and len(space.shape) == 3
        and sorted(space.shape)[1] >= SMALLEST_CNN_SIDE
        and bool((space.low == 0).all() and (space.high == 255).all())
    )


def check_spaces(
    algorithm: str, environment: Environment, actions: Kinds, *, bounded: bool = True
) -> None:
    """Check that an algorithm can observe and act in an environment.

    Args:
        algorithm: Its name.
        environment: The environment.
        actions: Kinds of action spaces that it takes.
        bounded: Whether Box actions need finite bounds.

    Raises:
        EnvironmentMismatch: When it cannot.
    """
    acted = environment.action_space
    wrong = _wrong_observations(environment.observation_space) or _wrong_actions(acted, actions)
    if not wrong and bounded and isinstance(acted, spaces.Box) and not acted.is_bounded():
        wrong = f"expected Box actions with finite bounds, got {acted}"
    if wrong:
        refuse(algorithm, environment, wrong)


def refuse(algorithm: str, environment: Environment, wrong: str) -> None:
    """Say that an algorithm cannot handle an environment, and why.

    Raises:
        EnvironmentMismatch: Always.
    """
    raise EnvironmentMismatch(
        f"The algorithm {algorithm!r} cannot handle environment {environment.spec.id!r}: {wrong}. "
        f"Take another algorithm ('bc' takes most), or wrap the environment.",
        field="algorithm.name",
    )


def _wrong_observations(space: spaces.Space[Any]) -> str:
    if isinstance(space, spaces.Discrete) and space.start != 0:
        return f"expected Discrete observations that start at 0, got {space}"
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim != 1:
        return f"expected MultiDiscrete observations of one dimension, got {space}"
    return ""


def _wrong_actions(space: spaces.Space[Any], kinds: Kinds) -> str:
    if not isinstance(space, kinds):
        return f"expected actions {' or '.join(kind.__name__ for kind in kinds)}, got {space}"
    if isinstance(space, spaces.Discrete):
        return "" if space.start == 0 else f"expected actions that start at 0, got {space}"
    if len(space.shape or ()) != 1:
        return f"expected actions of one dimension, got {space}"
    if isinstance(space, spaces.Box) and not np.issubdtype(space.dtype, np.floating):
        return f"expected Box actions of floats, got {space}"
    return ""
