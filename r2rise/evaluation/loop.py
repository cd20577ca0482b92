"""Policies and their episodes step together; episodes that have ended leave the batch."""

import copy
from collections.abc import Sequence
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from r2rise.algorithms.base import Policy, Progress
from r2rise.algorithms.bc.policies import Clones
from r2rise.environments import DEFAULT_MAX_STEPS, Environment, discrete_bounds
from r2rise.errors import EnvironmentMismatch
from r2rise.evaluation.backends import open_episodes, resolve_backend
from r2rise.evaluation.steps import Episodes
from r2rise.seeds import episode_seeds
from r2rise.study_parts import Backend, Evaluation

Returns = NDArray[np.float64]

EPISODES_AT_ONCE: dict[Backend, int] = {"gymnasium": 64, "batched": 4096, "envpool": 512}
"""Gymnasium's environments take long to make and are used again; arrays cost little."""


@runtime_checkable
class ActsTogether(Protocol):
    """Policies that act in one batch."""

    def predict_many(
        self, observations: NDArray[Any], *, deterministic: bool = True
    ) -> NDArray[Any]:
        """Return actions (n_policies, n, *act_shape) for (n_policies, n, *obs_shape)."""

    def __getitem__(self, index: slice) -> "ActsTogether":
        """Return some of the policies."""


def evaluate(
    policy: Policy | None,
    environment: Environment,
    evaluation: Evaluation,
    seed: int,
    *,
    progress: Progress,
) -> Returns:
    """Run one policy, or uniformly random actions for None; see `evaluate_many`.

    Returns:
        (n_episodes,) float64 scores.
    """
    policies = [policy]
    found = evaluate_many(policies, environment, evaluation, seed, progress=progress)
    returns: Returns = found[0]
    return returns


def evaluate_many(
    policies: Sequence[Policy | None],
    environment: Environment,
    evaluation: Evaluation,
    seed: int,
    *,
    progress: Progress,
) -> Returns:
    """Run policies for some episodes each, all side by side in this process.

    Every episode has its own seed, the same for all policies, so that they meet the same initial
    states. Rewards are the environment's own. Box actions are clipped to the action space.

    Args:
        policies: The policies; None acts uniformly at random.
        environment: Where they act.
        evaluation: Episodes, kind of actions, step limit, score and backend.
        seed: Evaluation seed, shared by all masks of a block.
        progress: Called once a step.

    Returns:
        (n_policies, n_episodes) float64 scores: undiscounted returns, or what `evaluation.score`
        names.

    Raises:
        EnvironmentMismatch: When an action, a reward or the score is not a finite number.
    """
    seeds = episode_seeds(seed, evaluation.n_episodes)
    if _in_one_loop(policies, environment, evaluation):
        from r2rise.evaluation.compiled import roll_out

        return roll_out(policies, environment, seeds, max_steps(environment, evaluation))
    backend = resolve_backend(evaluation, environment.spec)
    at_once = max(1, EPISODES_AT_ONCE[backend] // evaluation.n_episodes)
    with open_episodes(environment, evaluation, seeds, min(at_once, len(policies))) as episodes:
        parts = [
            _Run(policies[start : start + at_once], environment, evaluation, episodes).scores(
                seeds, progress
            )
            for start in range(0, len(policies), at_once)
        ]
    return np.concatenate(parts)


def _in_one_loop(
    policies: Sequence[Policy | None], environment: Environment, evaluation: Evaluation
) -> TypeGuard[Clones]:
    """Say whether policies and equations run as one compiled loop: a fixed rule of the study."""
    return (
        isinstance(policies, Clones)
        and not policies.network.convolutions
        and policies.device == "cpu"
        and policies.network.head.kind == "categorical"
        and resolve_backend(evaluation, environment.spec) == "batched"
        and evaluation.deterministic
        and evaluation.epsilon == 0
    )


def max_steps(environment: Environment, evaluation: Evaluation) -> int:
    """Return after how many steps an episode is cut."""
    own = environment.max_episode_steps or DEFAULT_MAX_STEPS
    return min(evaluation.max_steps or own, environment.max_episode_steps or 2**62)


class _Run:
    """Some policies from the start of their episodes to the end."""

    def __init__(
        self,
        policies: Sequence[Policy | None],
        environment: Environment,
        evaluation: Evaluation,
        episodes: Episodes,
    ) -> None:
        self._policies, self._environment = policies, environment
        self._evaluation, self._episodes = evaluation, episodes
        self._shape = (len(policies), evaluation.n_episodes)

    def scores(self, seeds: NDArray[np.int64], progress: Progress) -> Returns:
        n_policies, n_episodes = self._shape
        episodes, steps = self._episodes, max_steps(self._environment, self._evaluation)
        episodes.reset(n_policies)
        chance = _RandomActions(self._environment, np.tile(seeds, n_policies))
        returns = np.zeros(n_policies * n_episodes)
        running = np.ones(n_policies * n_episodes, dtype=bool)
        for step in range(steps):
            rows = np.flatnonzero(running)
            actions = self._act(running.reshape(self._shape), rows, chance)
            rewards, ended = episodes.step(rows, actions)
            returns[rows] += rewards
            running[rows] = ~ended
            if not running.any():
                break
            progress(step / steps)
        if self._evaluation.score != "return":
            returns = episodes.info(self._evaluation.score.removeprefix("info:"), len(returns))
        if not np.isfinite(returns).all():
            raise EnvironmentMismatch("An episode ended with a score that is not a number.")
        return returns.reshape(self._shape)

    def _act(
        self, running: NDArray[np.bool_], rows: NDArray[np.int64], chance: "_RandomActions"
    ) -> NDArray[Any]:
        """Return the actions of the running episodes, (n_running, *act_shape)."""
        space, evaluation = self._environment.action_space, self._evaluation
        actions = np.zeros((*running.shape, *(space.shape or ())), dtype=space.dtype)
        shown = self._episodes.observations[: running.size]
        observations = shown.reshape(*running.shape, *shown.shape[1:])
        if isinstance(self._policies, ActsTogether):
            alive = running.any(axis=1)
            policies = self._policies if alive.all() else self._policies[alive]
            predicted = policies.predict_many(
                observations[alive], deterministic=evaluation.deterministic
            )
            actions[running] = checked_actions(predicted[running[alive]], len(rows), space)
        else:
            self._act_one_by_one(running, observations, actions)
        flat = actions.reshape(running.size, *(space.shape or ()))
        at_random = self._policies[0] is None
        chance.replace(flat, rows, 1.0 if at_random else evaluation.epsilon)
        return flat[rows]

    def _act_one_by_one(
        self, running: NDArray[np.bool_], observations: NDArray[Any], actions: NDArray[Any]
    ) -> None:
        """Fill the actions of the running episodes, policy by policy."""
        for number, policy in enumerate(self._policies):
            own = running[number]
            if policy is not None and own.any():
                predicted, _ = policy.predict(
                    observations[number][own], deterministic=self._evaluation.deterministic
                )
                space = self._environment.action_space
                actions[number][own] = checked_actions(predicted, int(own.sum()), space)


class _RandomActions:
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
