"""From a policy to episode returns."""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from r2rise.algorithms.base import Policy, Progress
from r2rise.environments import DEFAULT_MAX_STEPS, Environment, GymEnv
from r2rise.errors import EnvironmentMismatch
from r2rise.seeds import episode_seeds
from r2rise.study import Evaluation

Returns = NDArray[np.float64]


def evaluate(
    policy: Policy | None,
    environment: Environment,
    evaluation: Evaluation,
    seed: int,
    *,
    progress: Progress,
) -> Returns:
    """Run a policy for some episodes, all side by side in this process.

    Every episode has its own seed, so that policies with the same `seed` meet the same initial
    states. Rewards are the environment's own. Box actions are clipped to the action space.

    Args:
        policy: The policy, or None for uniformly random actions.
        environment: Where it acts.
        evaluation: Episodes, kind of actions, step limit and score.
        seed: Evaluation seed, shared by all masks of a block.
        progress: Called once a step.

    Returns:
        (n_episodes,) float64 scores: undiscounted returns, or what `evaluation.score` names.

    Raises:
        EnvironmentMismatch: When an action, a reward or the score is not a finite number.
    """
    episodes = [
        _Episode(environment, evaluation, int(own), random_only=policy is None)
        for own in episode_seeds(seed, evaluation.n_episodes)
    ]
    max_steps = evaluation.max_steps or environment.max_episode_steps or DEFAULT_MAX_STEPS
    running = list(episodes)
    try:
        for step in range(max_steps):
            actions = _predict(policy, running, environment, evaluation)
            for episode, action in zip(running, actions, strict=True):
                episode.step(action)
            running = [episode for episode in running if not episode.ended]
            if not running:
                break
            progress(step / max_steps)
        return np.array([episode.score(evaluation.score) for episode in episodes])
    finally:
        for episode in episodes:
            episode.close()


class _Episode:
    """One environment from reset to its end."""

    def __init__(
        self, environment: Environment, evaluation: Evaluation, seed: int, *, random_only: bool
    ) -> None:
        self._env: GymEnv = environment.make(seed)
        self.observation, self._info = self._env.reset(seed=seed)
        self._chance = np.random.default_rng(seed)
        self._epsilon = 1.0 if random_only else evaluation.epsilon
        self._return = 0.0
        self.ended = False

    def step(self, action: Any) -> None:
        if self._epsilon and self._chance.random() < self._epsilon:
            action = self._env.action_space.sample()
        self.observation, reward, terminated, truncated, self._info = self._env.step(action)
        self._return += float(reward)
        self.ended = terminated or truncated

    def score(self, name: str) -> float:
        """Return the episode's return, or the number that `info` ends with."""
        if name == "return":
            value = self._return
        else:
            key = name.removeprefix("info:")
            if key not in self._info:
                raise EnvironmentMismatch(
                    f"info has no {key!r} at the end of an episode, only "
                    f"{', '.join(map(str, self._info)) or 'nothing'}: check evaluation.score."
                )
            value = _number(self._info[key], key)
        if not np.isfinite(value):
            raise EnvironmentMismatch(f"An episode ended with the score {value}, not a number.")
        return value

    def close(self) -> None:
        self._env.close()


def _number(value: Any, key: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise EnvironmentMismatch(
            f"info[{key!r}] should be a number at the end of an episode, got {value!r}."
        ) from None


def _predict(
    policy: Policy | None,
    running: list[_Episode],
    environment: Environment,
    evaluation: Evaluation,
) -> NDArray[Any] | list[None]:
    """Return an action for each running episode, (n, *act_shape), checked and clipped."""
    if policy is None:
        return [None] * len(running)
    space = environment.action_space
    observations = np.stack([episode.observation for episode in running])
    actions = np.asarray(policy.predict(observations, deterministic=evaluation.deterministic)[0])
    expected = (len(running), *(space.shape or ()))
    if actions.shape != expected:
        raise EnvironmentMismatch(
            f"policy.predict should return actions of shape {expected}, got {actions.shape}."
        )
    if actions.dtype.kind not in "biuf" or not np.isfinite(actions).all():
        raise EnvironmentMismatch("policy.predict returned actions that are not finite numbers.")
    if isinstance(space, spaces.Box):
        actions = np.clip(actions, space.low, space.high)
    acts: NDArray[Any] = actions.astype(space.dtype)
    return acts
