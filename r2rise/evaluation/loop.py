"""Evaluation of policies whose episodes advance together."""

from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from r2rise.algorithms.base import Policy, ProgressCallback
from r2rise.algorithms.bc.policies import NOT_FINITE, Clones
from r2rise.algorithms.divergence import divergence
from r2rise.design.seeds import episode_seeds, seeded_globals
from r2rise.environments import Environment
from r2rise.errors import Canceled, Diverged
from r2rise.evaluation.backends import (
    BACKENDS,
    EnvironmentCache,
    open_episodes,
    resolve_backend,
)
from r2rise.evaluation.rollout import ActsTogether, Policies, Returns, Rollout, max_steps
from r2rise.study.parts import Evaluation


def evaluate(
    policy: Policy | None,
    environment: Environment,
    evaluation: Evaluation,
    seed: int,
    *,
    progress: ProgressCallback,
    cache: EnvironmentCache | None = None,
) -> Returns:
    """Evaluate one policy, or uniformly random actions for None; see `evaluate_many`.

    Returns:
        (n_episodes,) float64 scores.

    Raises:
        Exception: The reason why the policy has no scores.
    """
    [scores] = evaluate_many(
        [policy], environment, evaluation, seed, progress=progress, cache=cache
    )
    if isinstance(scores, Exception):
        raise scores
    return scores


def evaluate_many(
    policies: Policies,
    environment: Environment,
    evaluation: Evaluation,
    seed: int,
    *,
    progress: ProgressCallback,
    cache: EnvironmentCache | None = None,
) -> list[Returns | Exception]:
    """Evaluate several policies together in this process.

    Every episode has its own seed. All policies get the same seeds, hence the same initial states.
    Rewards are those of the environment, unchanged. Box actions are clipped to the action space.

    A policy that raises, or whose parameters, observations, actions or scores are not finite, fails
    without effect on the scores of the others.

    Args:
        policies: The policies; None acts uniformly at random.
        environment: The environment of the episodes.
        evaluation: Number of episodes, type of actions, step limit, score and backend.
        seed: Evaluation seed, shared by all masks of a block.
        progress: Called once per step.
        cache: Environments of earlier calls, reused if `evaluation` allows it.

    Returns:
        For each policy (n_episodes,) float64 scores, or the exception that explains why it has
        none. Scores are undiscounted returns unless `evaluation.score` names something else.
    """
    divergences = [divergence(policy) for policy in policies]
    is_finite = np.array([error is None for error in divergences])
    finite_policies = _select(policies, is_finite)
    scores = iter(_scores(finite_policies, environment, evaluation, seed, progress, cache))
    return [next(scores) if error is None else error for error in divergences]


def _select(policies: Any, is_selected: NDArray[np.bool_]) -> Policies:
    """Return a subset of the policies, in the same kind of container."""
    selection: Policies
    if is_selected.all():
        selection = policies
    elif isinstance(policies, ActsTogether):
        selection = policies[is_selected]
    else:
        pairs = zip(policies, is_selected, strict=True)
        selection = [policy for policy, selected in pairs if selected]
    return selection


def _scores(
    policies: Policies,
    environment: Environment,
    evaluation: Evaluation,
    seed: int,
    progress: ProgressCallback,
    cache: EnvironmentCache | None,
) -> list[Returns | Exception]:
    """Return scores as `evaluate_many` does, for policies with finite parameters."""
    seeds = episode_seeds(seed, evaluation.n_episodes)
    if _runs_compiled(policies, environment, evaluation):
        from r2rise.evaluation.compiled import roll_out

        returns = roll_out(policies, environment, seeds, max_steps(environment, evaluation))
        return [row if np.isfinite(row).all() else Diverged(NOT_FINITE) for row in returns]
    backend = resolve_backend(evaluation, environment.spec)
    if backend == "gymnasium" and not evaluation.reuse_environments:
        return _isolated_scores(policies, environment, evaluation, seed, progress)
    batch_size = max(1, BACKENDS[backend].max_episodes // evaluation.n_episodes)
    n_policies = min(batch_size, len(policies))
    with open_episodes(environment, evaluation, seeds, n_policies, cache) as episodes:
        return [
            scores
            for start in range(0, len(policies), batch_size)
            for scores in Rollout(
                policies[start : start + batch_size], environment, evaluation, episodes
            ).scores(seeds, progress)
        ]


def _isolated_scores(
    policies: Policies,
    environment: Environment,
    evaluation: Evaluation,
    seed: int,
    progress: ProgressCallback,
) -> list[Returns | Exception]:
    """Return scores of policies that share neither environments nor global generators."""
    seeds = episode_seeds(seed, evaluation.n_episodes)
    scores: list[Returns | Exception] = []
    for index in range(len(policies)):
        policy = policies[index : index + 1]
        try:
            with seeded_globals(seed), open_episodes(environment, evaluation, seeds, 1) as episodes:
                rollout = Rollout(policy, environment, evaluation, episodes)
                scores += rollout.scores(seeds, progress)
        except Canceled:
            raise
        except Exception as error:
            scores.append(error)
    return scores


def _runs_compiled(
    policies: Policies, environment: Environment, evaluation: Evaluation
) -> TypeGuard[Clones]:
    """Return whether policies and equations run as one compiled loop.

    The rule depends on the study and the policies' type and device only.
    """
    return (
        isinstance(policies, Clones)
        and not policies.network.convolutions
        and policies.device == "cpu"
        and policies.network.head.kind == "categorical"
        and resolve_backend(evaluation, environment.spec) == "batched"
        and evaluation.deterministic
        and evaluation.epsilon == 0
    )
