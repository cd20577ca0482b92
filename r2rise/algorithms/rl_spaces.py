"""Checks of spaces for the algorithms that are based on Stable-Baselines3."""

from typing import Any

import numpy as np
from gymnasium import spaces

from r2rise.environments import Environment, discrete_bounds
from r2rise.errors import EnvironmentMismatch
from r2rise.observations import is_image

SpaceTypes = tuple[type[spaces.Space[Any]], ...]

SMALLEST_CNN_SIDE = 36
"""Smallest height and width in pixels that the convolutions of Mnih et al. (2015) accept."""


def takes_cnn(space: spaces.Space[Any]) -> bool:
    """Return whether observations are images large enough for the CNN."""
    return is_image(space) and sorted(space.shape or ())[1] >= SMALLEST_CNN_SIDE


def check_spaces(
    algorithm: str, environment: Environment, action_types: SpaceTypes, *, bounded: bool = True
) -> None:
    """Check that an algorithm can observe and act in an environment.

    Args:
        algorithm: Its name.
        environment: The environment.
        action_types: Types of action spaces that it supports.
        bounded: Whether Box actions need finite bounds.

    Raises:
        EnvironmentMismatch: If it cannot.
    """
    space = environment.action_space
    problem = _observation_problem(environment.observation_space)
    problem = problem or _action_problem(space, action_types)
    if not problem and bounded and isinstance(space, spaces.Box) and not space.is_bounded():
        problem = f"expected Box actions with finite bounds, got {space}"
    if problem:
        refuse(algorithm, environment, problem)


def refuse(algorithm: str, environment: Environment, problem: str) -> None:
    """Raise an error that an algorithm cannot handle an environment, and why.

    Raises:
        EnvironmentMismatch: Always.
    """
    raise EnvironmentMismatch(
        f"The algorithm {algorithm!r} cannot handle environment {environment.spec.id!r}: "
        f"{problem}. Use another algorithm ('bc' handles most), or wrap the environment.",
        field="algorithm.name",
    )


def _observation_problem(space: spaces.Space[Any]) -> str:
    """Return why no algorithm supports an observation space, or an empty string."""
    if not isinstance(space, spaces.Box) and _starts_elsewhere(space):
        return f"expected observations that start at 0, got {space}"
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim != 1:
        return f"expected MultiDiscrete observations of one dimension, got {space}"
    if isinstance(space, spaces.Box) and not space.shape:
        return f"expected Box observations of at least one dimension, got {space}"
    return ""


def _action_problem(space: spaces.Space[Any], supported: SpaceTypes) -> str:
    """Return why an action space is not supported, or an empty string."""
    if not isinstance(space, supported):
        return f"expected actions {' or '.join(kind.__name__ for kind in supported)}, got {space}"
    if not isinstance(space, spaces.Box) and _starts_elsewhere(space):
        return f"expected actions that start at 0, got {space}"
    if isinstance(space, spaces.Discrete):
        return ""
    if len(space.shape or ()) != 1:
        return f"expected actions of one dimension, got {space}"
    if isinstance(space, spaces.Box) and not np.issubdtype(space.dtype, np.floating):
        return f"expected Box actions of floats, got {space}"
    return ""


def _starts_elsewhere(space: spaces.Space[Any]) -> bool:
    """Return whether the values of a discrete space start elsewhere than at 0."""
    first, _ = discrete_bounds(space)
    return bool(np.any(first))
