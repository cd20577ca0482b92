"""Policies and their episodes step together; episodes that have ended leave the batch."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from r2rise.algorithms.base import Policy, ProgressCallback
from r2rise.algorithms.bc.policies import NOT_FINITE, Clones
from r2rise.algorithms.divergence import divergence
from r2rise.design.seeds import episode_seeds, seeded_globals
from r2rise.environments import DEFAULT_MAX_STEPS, Environment
from r2rise.errors import Canceled, Diverged, EnvironmentMismatch
from r2rise.evaluation.actions import RandomActions, checked_actions
from r2rise.evaluation.backends import KeptEnvironments, open_episodes, resolve_backend
from r2rise.evaluation.steps import Episodes
from r2rise.study.parts import Backend, Evaluation

Returns = NDArray[np.float64]
Policies = Sequence[Policy | None]

EPISODES_AT_ONCE: dict[Backend, int] = {"gymnasium": 64, "batched": 4096, "envpool": 512}
"""Gymnasium's environments take long to make and are used again, where they may be; arrays cost
little."""


@runtime_checkable
class ActsTogether(Protocol):
    """Policies that act in one batch; each is also a policy of its own."""

    def predict_many(
        self, observations: NDArray[Any], *, deterministic: bool = True
    ) -> NDArray[Any]:
        """Return actions (n_policies, n, *act_shape) for (n_policies, n, *obs_shape)."""

    def __getitem__(self, index: Any) -> Any:
        """Return a policy for a number, and policies that act together for a slice or a mask."""


def evaluate(
    policy: Policy | None,
    environment: Environment,
    evaluation: Evaluation,
    seed: int,
    *,
    progress: ProgressCallback,
    kept: KeptEnvironments | None = None,
) -> Returns:
    """Run one policy, or uniformly random actions for None; see `evaluate_many`.

    Returns:
        (n_episodes,) float64 scores.

    Raises:
        Exception: Why it has none.
    """
    [found] = evaluate_many([policy], environment, evaluation, seed, progress=progress, kept=kept)
    if isinstance(found, Exception):
        raise found
    return found


def evaluate_many(
    policies: Policies,
    environment: Environment,
    evaluation: Evaluation,
    seed: int,
    *,
    progress: ProgressCallback,
    kept: KeptEnvironments | None = None,
) -> list[Returns | Exception]:
    """Run policies for some episodes each, all side by side in this process.

    Every episode has its own seed, the same for all policies, so that they meet the same initial
    states. Rewards are the environment's own. Box actions are clipped to the action space.

    A policy that raises, or whose parameters, observations, actions or scores are not finite
    numbers, fails alone: the others' scores are what they are without it.

    Args:
        policies: The policies; None acts uniformly at random.
        environment: Where they act.
        evaluation: Episodes, kind of actions, step limit, score and backend.
        seed: Evaluation seed, shared by all masks of a block.
        progress: Called once a step.
        kept: Environments of earlier calls, to be used again where the evaluation says so.

    Returns:
        For each policy (n_episodes,) float64 scores, undiscounted returns or what
        `evaluation.score` names, or else why it has none.
    """
    unfit = [divergence(policy) for policy in policies]
    fit = np.array([why is None for why in unfit])
    scores = iter(_scores(_those(policies, fit), environment, evaluation, seed, progress, kept))
    return [next(scores) if why is None else why for why in unfit]


def _those(policies: Any, chosen: NDArray[np.bool_]) -> Policies:
    """Return some of the policies, in the form that they have."""
    some: Policies
    if chosen.all():
        some = policies
    elif isinstance(policies, ActsTogether):
        some = policies[chosen]
    else:
        some = [policy for policy, own in zip(policies, chosen, strict=True) if own]
    return some


def _scores(
    policies: Policies,
    environment: Environment,
    evaluation: Evaluation,
    seed: int,
    progress: ProgressCallback,
    kept: KeptEnvironments | None,
) -> list[Returns | Exception]:
    """Return scores as `evaluate_many` does, of policies whose parameters are finite."""
    seeds = episode_seeds(seed, evaluation.n_episodes)
    if _in_one_loop(policies, environment, evaluation):
        from r2rise.evaluation.compiled import roll_out

        returns = roll_out(policies, environment, seeds, max_steps(environment, evaluation))
        return [own if np.isfinite(own).all() else Diverged(NOT_FINITE) for own in returns]
    backend = resolve_backend(evaluation, environment.spec)
    if backend == "gymnasium" and not evaluation.reuse_environments:
        return _scores_apart(policies, environment, evaluation, seed, progress)
    at_once = max(1, EPISODES_AT_ONCE[backend] // evaluation.n_episodes)
    n_policies = min(at_once, len(policies))
    with open_episodes(environment, evaluation, seeds, n_policies, kept) as episodes:
        return [
            scores
            for start in range(0, len(policies), at_once)
            for scores in _Run(
                policies[start : start + at_once], environment, evaluation, episodes
            ).scores(seeds, progress)
        ]


def _scores_apart(
    policies: Policies,
    environment: Environment,
    evaluation: Evaluation,
    seed: int,
    progress: ProgressCallback,
) -> list[Returns | Exception]:
    """Return scores of policies that share neither environments nor global generators."""
    seeds = episode_seeds(seed, evaluation.n_episodes)
    scores: list[Returns | Exception] = []
    for number in range(len(policies)):
        own = policies[number : number + 1]
        try:
            with seeded_globals(seed), open_episodes(environment, evaluation, seeds, 1) as episodes:
                scores += _Run(own, environment, evaluation, episodes).scores(seeds, progress)
        except Canceled:
            raise
        except Exception as error:
            scores.append(error)
    return scores


def _in_one_loop(
    policies: Policies, environment: Environment, evaluation: Evaluation
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
