"""Actions: random ones, and checked ones."""

import copy
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from r2rise.environments import Environment, discrete_bounds
from r2rise.errors import EnvironmentMismatch


class RandomActions:
    """Random actions of each episode, from its own seed."""

    def __init__(self, environment: Environment, seeds: NDArray[np.int64]) -> None:
        self._space, self._seeds = environment.action_space, seeds
        self._sources: dict[int, Chance] = {}

    def replace(self, actions: NDArray[Any], rows: NDArray[np.int64], epsilon: float) -> None:
        """Put random actions in the place of a share `epsilon` of those of the given episodes."""
        if epsilon == 0:
            return
        for row in rows.tolist():
            if row not in self._sources:
                self._sources[row] = Chance(self._space, int(self._seeds[row]))
            if self._sources[row].strikes(epsilon):
                actions[row] = self._sources[row].action()


class Chance:
    """What is random in the actions of an episode.

    It comes from the episode's seed, but not from the numbers that the environment draws with that
    seed: an action must not follow from the initial state.
    """

    def __init__(self, space: spaces.Space[Any], seed: int) -> None:
        when, what = np.random.SeedSequence(seed).spawn(2)
        self._generator = np.random.default_rng(when)
        self._space = copy.deepcopy(space)
        self._space.seed(int(what.generate_state(1)[0]))

    def strikes(self, epsilon: float) -> bool:
        """Say, with the probability `epsilon`, that the next action is a random one."""
        return self._generator.random() < epsilon

    def action(self) -> Any:
        """Return a uniformly random action."""
        return self._space.sample()


def checked_actions(predicted: Any, n: int, space: spaces.Space[Any]) -> NDArray[Any]:
    """Return actions checked and clipped, (n, *act_shape).

    Raises:
        EnvironmentMismatch: When they are of another shape, not finite numbers, or no choices of
            the space.
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
        wrong = (actions < low) | (actions > high)
        if actions.dtype.kind == "f":
            wrong |= actions % 1 != 0
        if wrong.any():
            raise EnvironmentMismatch(
                f"policy.predict returned the action {actions[wrong][0].item()!r}, but the "
                f"environment takes {space}."
            )
    acts: NDArray[Any] = actions.astype(space.dtype)
    return acts
