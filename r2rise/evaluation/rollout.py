"""Rollouts: complete episodes of several policies that act together."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from r2rise.algorithms.base import Policy, ProgressCallback
from r2rise.environments import DEFAULT_MAX_STEPS, Environment
from r2rise.errors import Canceled, EnvironmentMismatch
from r2rise.evaluation.actions import RandomActions, checked_actions
from r2rise.evaluation.steps import Episodes
from r2rise.study.parts import Evaluation

Returns = NDArray[np.float64]
Policies = Sequence[Policy | None]


@runtime_checkable
class ActsTogether(Protocol):
    """A batch of policies that predicts for all at once; its items are single policies."""

    def predict_many(
        self, observations: NDArray[Any], *, deterministic: bool = True
    ) -> NDArray[Any]:
        """Return actions, (n_policies, n, *act_shape), for (n_policies, n, *obs_shape)."""

    def __getitem__(self, index: Any) -> Any:
        """Return a policy for an integer, and a batch of policies for a slice or a boolean mask."""


def max_steps(environment: Environment, evaluation: Evaluation) -> int:
    """Return the number of steps after which an episode is truncated."""
    default = environment.max_episode_steps or DEFAULT_MAX_STEPS
    return min(evaluation.max_steps or default, environment.max_episode_steps or 2**62)


class Rollout:
    """One run of the episodes of several policies, from start to end. Use an instance once."""

    def __init__(
        self,
        policies: Policies,
        environment: Environment,
        evaluation: Evaluation,
        episodes: Episodes,
    ) -> None:
        self._policies, self._environment = policies, environment
        self._evaluation, self._episodes = evaluation, episodes
        self._shape = (len(policies), evaluation.n_episodes)
        self._running = np.ones(self._shape, dtype=bool)
        self._failures: dict[int, Exception] = {}

    def scores(
        self, seeds: NDArray[np.int64], progress: ProgressCallback
    ) -> list[Returns | Exception]:
        """Run all episodes.

        Returns:
            For each policy its scores, (n_episodes,), or the reason why it has none.
        """
        n_policies, n_episodes = self._shape
        episodes, steps = self._episodes, max_steps(self._environment, self._evaluation)
        episodes.reset(n_policies)
        random_actions = RandomActions(self._environment, np.tile(seeds, n_policies))
        returns = np.zeros(n_policies * n_episodes)
        running = self._running.reshape(-1)
        for step in range(steps):
            actions = self._act(step, random_actions)
            rows = np.flatnonzero(running)
            rewards, ended = episodes.step(rows, actions[rows])
            returns[rows] += rewards
            running[rows] = ~ended
            if episodes.observations.dtype.kind == "f":
                episodes.observations[rows[ended]] = 0  # unused, but predict_many may see them
            if not running.any():
                break
            progress(step / steps)
        return [
            self._failures.get(index) or self._score(index, policy_returns)
            for index, policy_returns in enumerate(returns.reshape(self._shape))
        ]

    def _score(self, index: int, returns: Returns) -> Returns | Exception:
        n_episodes, score_name = self._shape[1], self._evaluation.score
        if score_name != "return":
            rows = range(index * n_episodes, (index + 1) * n_episodes)
            try:
                returns = self._episodes.info(score_name.removeprefix("info:"), rows)
            except EnvironmentMismatch as error:
                return error
        if np.isfinite(returns).all():
            return returns
        score = returns[~np.isfinite(returns)][0]
        return EnvironmentMismatch(f"An episode ended with the score {score}, not a finite number.")

    def _act(self, step: int, random_actions: RandomActions) -> NDArray[Any]:
        """Return the actions of all episodes, (n_policies * n_episodes, *act_shape)."""
        running, space = self._running, self._environment.action_space
        actions = np.zeros((*running.shape, *(space.shape or ())), dtype=space.dtype)
        flat_observations = self._episodes.observations[: running.size]
        observations = flat_observations.reshape(*running.shape, *flat_observations.shape[1:])
        self._check_observations(observations, step)
        if isinstance(self._policies, ActsTogether):
            self._act_together(self._policies, observations, actions)
        else:
            self._act_one_by_one(observations, actions)
        flat_actions = actions.reshape(running.size, *(space.shape or ()))
        is_random = self._policies[0] is None
        epsilon = 1.0 if is_random else self._evaluation.epsilon
        random_actions.replace(flat_actions, np.flatnonzero(running), epsilon)
        return flat_actions

    def _check_observations(self, observations: NDArray[Any], step: int) -> None:
        """Mark policies as failed whose running episodes have non-finite observations."""
        if observations.dtype.kind != "f":
            return
        finite = np.isfinite(observations).reshape(*self._shape, -1).all(axis=2)
        for index in np.flatnonzero((self._running & ~finite).any(axis=1)).tolist():
            if self._policies[index] is not None:
                self._fail(
                    index,
                    EnvironmentMismatch(
                        f"Environment {self._environment.spec.id!r} returned an observation "
                        f"that is not finite, after {step} steps of an episode."
                    ),
                )

    def _act_together(
        self, policies: ActsTogether, observations: NDArray[Any], actions: NDArray[Any]
    ) -> None:
        """Fill the actions of the running episodes with one prediction for all policies.

        If it raises, the policies predict one by one, so that only those at fault fail.
        """
        running = self._running
        while running.any():
            is_active = np.asarray(running.any(axis=1))
            try:
                active_policies = policies if is_active.all() else policies[is_active]
                predicted = active_policies.predict_many(
                    observations[is_active], deterministic=self._evaluation.deterministic
                )
                actions[running] = checked_actions(
                    predicted[running[is_active]],
                    int(running.sum()),
                    self._environment.action_space,
                )
                break
            except Canceled:
                raise
            except Exception:
                n_failures = len(self._failures)
                self._act_one_by_one(observations, actions)
                if len(self._failures) == n_failures:
                    raise  # no single policy is at fault

    def _act_one_by_one(self, observations: NDArray[Any], actions: NDArray[Any]) -> None:
        """Fill the actions of the running episodes policy by policy; policies that raise fail."""
        for index, policy in enumerate(self._policies):
            running = self._running[index]
            if policy is None or not running.any():
                continue
            try:
                predicted, _ = policy.predict(
                    observations[index][running], deterministic=self._evaluation.deterministic
                )
                space = self._environment.action_space
                actions[index][running] = checked_actions(predicted, int(running.sum()), space)
            except Canceled:
                raise
            except Exception as error:
                self._fail(index, error)

    def _fail(self, index: int, error: Exception) -> None:
        self._failures[index] = error
        self._running[index] = False
