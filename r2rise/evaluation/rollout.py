"""Some policies side by side, from the start of their episodes to the end."""

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
    """Policies that act in one batch; each is also a policy of its own."""

    def predict_many(
        self, observations: NDArray[Any], *, deterministic: bool = True
    ) -> NDArray[Any]:
        """Return actions (n_policies, n, *act_shape) for (n_policies, n, *obs_shape)."""

    def __getitem__(self, index: Any) -> Any:
        """Return a policy for a number, and policies that act together for a slice or a mask."""


def max_steps(environment: Environment, evaluation: Evaluation) -> int:
    """Return after how many steps an episode is cut."""
    own = environment.max_episode_steps or DEFAULT_MAX_STEPS
    return min(evaluation.max_steps or own, environment.max_episode_steps or 2**62)


class Rollout:
    """Some policies from the start of their episodes to the end."""

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
        """Return the scores of each policy, (n_episodes,), or else why it has none."""
        n_policies, n_episodes = self._shape
        episodes, steps = self._episodes, max_steps(self._environment, self._evaluation)
        episodes.reset(n_policies)
        chance = RandomActions(self._environment, np.tile(seeds, n_policies))
        returns = np.zeros(n_policies * n_episodes)
        running = self._running.reshape(-1)
        for step in range(steps):
            actions = self._act(step, chance)
            rows = np.flatnonzero(running)
            rewards, ended = episodes.step(rows, actions[rows])
            returns[rows] += rewards
            running[rows] = ~ended
            if episodes.observations.dtype.kind == "f":
                episodes.observations[rows[ended]] = 0  # nobody acts on them, but all are in reach
            if not running.any():
                break
            progress(step / steps)
        own_returns = enumerate(returns.reshape(self._shape))
        return [
            self._failures.get(number) or self._score(number, own) for number, own in own_returns
        ]

    def _score(self, number: int, returns: Returns) -> Returns | Exception:
        n_episodes, score = self._shape[1], self._evaluation.score
        if score != "return":
            rows = range(number * n_episodes, (number + 1) * n_episodes)
            try:
                returns = self._episodes.info(score.removeprefix("info:"), rows)
            except EnvironmentMismatch as error:
                return error
        if np.isfinite(returns).all():
            return returns
        wrong = returns[~np.isfinite(returns)][0]
        return EnvironmentMismatch(f"An episode ended with the score {wrong}, not a finite number.")

    def _act(self, step: int, chance: "RandomActions") -> NDArray[Any]:
        """Return the actions of all episodes, (n_policies * n_episodes, *act_shape)."""
        running, space = self._running, self._environment.action_space
        actions = np.zeros((*running.shape, *(space.shape or ())), dtype=space.dtype)
        shown = self._episodes.observations[: running.size]
        observations = shown.reshape(*running.shape, *shown.shape[1:])
        self._check_observations(observations, step)
        if isinstance(self._policies, ActsTogether):
            self._act_together(self._policies, observations, actions)
        else:
            self._act_one_by_one(observations, actions)
        flat = actions.reshape(running.size, *(space.shape or ()))
        at_random = self._policies[0] is None
        epsilon = 1.0 if at_random else self._evaluation.epsilon
        chance.replace(flat, np.flatnonzero(running), epsilon)
        return flat

    def _check_observations(self, observations: NDArray[Any], step: int) -> None:
        """Fail the policies that would have to act on what is not finite numbers."""
        if observations.dtype.kind != "f":
            return
        finite = np.isfinite(observations).reshape(*self._shape, -1).all(axis=2)
        for number in np.flatnonzero((self._running & ~finite).any(axis=1)).tolist():
            if self._policies[number] is not None:
                self._fail(
                    number,
                    EnvironmentMismatch(
                        f"Environment {self._environment.spec.id!r} showed an observation that is "
                        f"not finite numbers, after {step} steps of an episode."
                    ),
                )

    def _act_together(
        self, policies: ActsTogether, observations: NDArray[Any], actions: NDArray[Any]
    ) -> None:
        """Fill the actions of the running episodes at once."""
        running = self._running
        while running.any():
            alive = np.asarray(running.any(axis=1))
            try:
                some = policies if alive.all() else policies[alive]
                predicted = some.predict_many(
                    observations[alive], deterministic=self._evaluation.deterministic
                )
                actions[running] = checked_actions(
                    predicted[running[alive]], int(running.sum()), self._environment.action_space
                )
                break
            except Canceled:
                raise
            except Exception:
                n_failures = len(self._failures)
                self._act_one_by_one(observations, actions)
                if len(self._failures) == n_failures:
                    raise  # it is the fault of no policy alone

    def _act_one_by_one(self, observations: NDArray[Any], actions: NDArray[Any]) -> None:
        """Fill the actions of the running episodes, policy by policy; one that raises fails."""
        for number, policy in enumerate(self._policies):
            own = self._running[number]
            if policy is None or not own.any():
                continue
            try:
                predicted, _ = policy.predict(
                    observations[number][own], deterministic=self._evaluation.deterministic
                )
                space = self._environment.action_space
                actions[number][own] = checked_actions(predicted, int(own.sum()), space)
            except Canceled:
                raise
            except Exception as error:
                self._fail(number, error)

    def _fail(self, number: int, error: Exception) -> None:
        self._failures[number] = error
        self._running[number] = False
