"""Scripted experts: policies that depend on the observation alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2rise.algorithms import Policy
from r2rise.environments import Environment
from r2rise.errors import EnvironmentMismatch
from r2rise_envs.planted.mazes import PlantedCorridor, PlantedRounds
from r2rise_envs.planted.reach import GOALS, N_GOALS, STEP, PlantedReach


def expert(environment: Environment) -> Policy:
    """Return the expert of a planted environment, for `r2rise record`.

    Raises:
        EnvironmentMismatch: When the environment is not a planted one.
    """
    env = environment.make(0).unwrapped
    if isinstance(env, PlantedCorridor | PlantedRounds):
        return _Walker(env.expert_actions())
    if isinstance(env, PlantedReach):
        return _Steerer()
    raise EnvironmentMismatch(
        f"The scripted experts act only in planted environments, not in {environment.spec.id!r}."
    )


class _Walker:
    """Takes the correct action of each cell of a maze."""

    def __init__(self, actions: NDArray[np.int64]) -> None:
        self._actions = actions

    def predict(
        self,
        observation: NDArray[Any],
        *,
        deterministic: bool = True,  # noqa: ARG002  (nothing is random)
    ) -> tuple[NDArray[Any], None]:
        return self._actions[observation.argmax(axis=-1)], None


class _Steerer:
    """Steers straight to the goal that is shown, and waits while there is none."""

    def predict(
        self,
        observation: NDArray[Any],
        *,
        deterministic: bool = True,  # noqa: ARG002  (nothing is random)
    ) -> tuple[NDArray[Any], None]:
        lamp, position = observation[..., :N_GOALS], observation[..., N_GOALS:]
        offset = lamp @ GOALS - position
        distance = np.linalg.norm(offset, axis=-1, keepdims=True)
        speed = offset / np.maximum(distance, STEP)
        return np.where(lamp.any(axis=-1, keepdims=True), speed, 0.0).astype(np.float32), None
