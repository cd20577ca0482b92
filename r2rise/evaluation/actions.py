"""Random actions, and checks of the actions of policies."""

import copy
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from r2rise.environments import Environment, discrete_bounds
from r2rise.errors import EnvironmentMismatch


class RandomActions:
    """Random actions for many episodes, each with its own seed."""

    def __init__(self, environment: Environment, seeds: NDArray[np.int64]) -> None:
        self._space, self._seeds = environment.action_space, seeds
        self._sources: dict[int, RandomActionSource] = {}

    def replace(self, actions: NDArray[Any], rows: NDArray[np.int64], epsilon: float) -> None:
        """Replace actions by random ones in place, each with probability `epsilon`.

        Args:
            actions: (n_episodes, *act_shape) actions of all episodes.
            rows: Indices of the episodes whose actions may be replaced.
            epsilon: Probability of a random action.
        """
        if epsilon == 0:
            return
        for row in rows.tolist():
            if row not in self._sources:
                self._sources[row] = RandomActionSource(self._space, int(self._seeds[row]))
            if self._sources[row].is_random(epsilon):
                actions[row] = self._sources[row].sample()


class RandomActionSource:
    """Random actions of one episode.

    They depend on the episode's seed, but are independent of the numbers that the environment draws
    with that seed: an action must not depend on the initial state.
    """

    def __init__(self, space: spaces.Space[Any], seed: int) -> None:
        epsilon_seed, action_seed = np.random.SeedSequence(seed).spawn(2)
        self._generator = np.random.default_rng(epsilon_seed)
        self._space = copy.deepcopy(space)
        self._space.seed(int(action_seed.generate_state(1)[0]))

    def is_random(self, epsilon: float) -> bool:
        """Draw whether the next action is random: True with probability `epsilon`."""
        return self._generator.random() < epsilon

    def sample(self) -> Any:
        """Return a uniformly random action."""
        return self._space.sample()


def checked_actions(predicted: Any, n: int, space: spaces.Space[Any]) -> NDArray[Any]:
    """Return the predicted actions, (n, *act_shape), in the dtype of the action space.

    Actions in a Box are clipped to its bounds.

    Raises:
        EnvironmentMismatch: When the shape is wrong, or values are not finite numbers or, in a
            discrete space, not valid actions.
    """
    actions = np.asarray(predicted)
    expected = (n, *(space.shape or ()))
    if actions.shape != expected:
        raise EnvironmentMismatch(
            f"policy.predict should return actions of shape {expected}, got {actions.shape}."
        )
    if actions.dtype.kind not in "biuf" or not np.isfinite(actions).all():
        raise EnvironmentMismatch("policy.predict returned actions that are not finite numbers.")
    if isinstance(space, spaces.Box):
        actions = np.clip(actions, space.low, space.high)
    else:
        low, high = discrete_bounds(space)
        is_invalid = (actions < low) | (actions > high)
        if actions.dtype.kind == "f":
            is_invalid |= actions % 1 != 0
        if is_invalid.any():
            raise EnvironmentMismatch(
                f"policy.predict returned the action {actions[is_invalid][0].item()!r}, but the "
                f"environment takes {space}."
            )
    acts: NDArray[Any] = actions.astype(space.dtype)
    return acts
