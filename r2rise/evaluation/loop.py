"""Policies and their episodes step together; episodes that have ended leave the batch."""

from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from r2rise.algorithms.base import Policy, ProgressCallback
from r2rise.algorithms.bc.policies import NOT_FINITE, Clones
from r2rise.algorithms.divergence import divergence
from r2rise.design.seeds import episode_seeds, seeded_globals
from r2rise.environments import Environment
from r2rise.errors import Canceled, Diverged
from r2rise.evaluation.backends import KeptEnvironments, open_episodes, resolve_backend
from r2rise.evaluation.rollout import ActsTogether, Policies, Returns, Rollout, max_steps
from r2rise.study.parts import Backend, Evaluation

EPISODES_AT_ONCE: dict[Backend, int] = {"gymnasium": 64, "batched": 4096, "envpool": 512}
"""Gymnasium's environments take long to make and are used again, where they may be; arrays cost
little."""


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
            for scores in Rollout(
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
                scores += Rollout(own, environment, evaluation, episodes).scores(seeds, progress)
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
