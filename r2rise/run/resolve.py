"""From the study a user writes to one in which everything that matters is filled in."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from r2rise.algorithms import (
    ChecksEnvironment,
    TrainsMany,
    algorithm_identity,
    check_algorithm,
    make_algorithm,
)
from r2rise.data.demonstrations import Demonstrations
from r2rise.data.segments import Segments
from r2rise.design.choice import (
    resolve_estimator,
    resolve_masking,
    resolve_shard_size,
    round_budget,
    with_segment_length,
)
from r2rise.environments import DEFAULT_MAX_STEPS, Environment, environment_identity
from r2rise.errors import StudyError
from r2rise.evaluation.backends import resolve_backend
from r2rise.evaluation.fit import check_demonstrations
from r2rise.evaluation.reuse import check_reuse
from r2rise.ledger.ledger import LedgerHeader
from r2rise.results.training_check import training_notices
from r2rise.statistics.power import Power
from r2rise.study.hashing import with_first_defaults
from r2rise.study.identity import Unidentified
from r2rise.study.notices import Notice
from r2rise.study.parts import DemonstratedReturn, EstimatorName, Evaluation
from r2rise.study.specs import AlgorithmSpec, EnvironmentSpec
from r2rise.study.study import Study

logger = logging.getLogger(__name__)

SHARD_SIZE = 2
"""Masks that one worker retrains one by one in a call: a pair of complements."""


@dataclass(frozen=True)
class Resolved:
    """A study ready to run.

    Attributes:
        study: With every field filled in.
        segments: What is masked.
        power: What the budget can resolve.
        notices: What the user should know before anything is spent.
    """

    study: Study
    segments: Segments
    power: Power
    notices: tuple[Notice, ...]


def resolve(study: Study, demonstrations: Demonstrations) -> Resolved:
    """Fill in a study and check it against demonstrations, environment and algorithm.

    Raises:
        InputError: When something does not fit; nothing has been spent.
        MissingExtra: When an optional package is needed.
    """
    environment = Environment(study.environment)
    study = identified(study)
    notices = _about_demonstrations(demonstrations, environment)
    check_hash(study, demonstrations)
    study = with_segment_length(study, demonstrations)
    segments = demonstrations.segments(study.masking)
    _check_segments(segments)
    masking = resolve_masking(study, len(segments))
    estimator = resolve_estimator(study, masking, len(segments))
    _check_until(study, estimator)
    budget, more = round_budget(study, masking)
    notices += more
    evaluation, more = _resolve_evaluation(study, environment, demonstrations)
    notices += more
    algorithm = check_algorithm(study.algorithm)
    wanted = _masks_at_once(algorithm, demonstrations.n_frames, environment)
    fields = {
        "demonstrations": demonstrations.content_hash,
        "algorithm": algorithm,
        "masking": masking,
        "evaluation": evaluation,
        "demonstrated": _demonstrated(demonstrations, study, environment),
        "budget": study.budget.model_copy(update={"retrainings": budget}),
        "estimator": estimator,
        "execution": study.execution.model_copy(
            update={"shard_size": resolve_shard_size(study, masking, wanted)}
        ),
    }
    resolved = study.model_copy(update=fields)
    notices += training_notices(resolved)
    power = Power(budget, len(segments))
    if not power.can_rank:
        notices.append(Notice(code="low_power", detail=power.warn()))
    return Resolved(resolved, segments, power, tuple(notices))


def going_on(study: Study, held: LedgerHeader) -> Study:
    """Return a study with the design that a ledger was begun with, where it leaves that open.

    What `auto` means depends on the budget; a ledger is extended whatever the budget is. Where
    environments were not used again they never are.
    """
    design = with_first_defaults(held.design)
    if not design["evaluation"]["reuse_environments"]:
        apart = study.evaluation.model_copy(update={"reuse_environments": False})
        study = study.model_copy(update={"evaluation": apart})
    asked, begun = study.masking, design["masking"]
    open_fields: dict[str, Any] = {}
    if asked.segment_length == "auto":
        open_fields["segment_length"] = begun["segment_length"]
    if asked.design == "auto":
        open_fields["design"] = begun["design"]
    if open_fields and asked.block_size is None:
        open_fields["block_size"] = begun["block_size"]
    masking = asked.model_copy(update=open_fields)
    same = masking.model_dump(mode="json") == begun
    return study.model_copy(update={"masking": masking}) if same else study


def check_hash(study: Study, demonstrations: Demonstrations) -> None:
    """Check that a study is about these demonstrations, where it says about which.

    Raises:
        StudyError: When it is about others.
    """
    asked = study.demonstrations
    if asked is not None and asked != demonstrations.content_hash:
        raise StudyError(
            f"The study is about the demonstrations {asked}, but got "
            f"{demonstrations.content_hash}: give the file it was made for, or remove "
            f"'demonstrations' from the study.",
            field="demonstrations",
        )


def identified(study: Study, *, on_disk: bool = False) -> Study:
    """Return the study with what its own algorithm and environment are known by.

    Args:
        study: One that says it already is checked, unless it holds the object itself.
        on_disk: Whether records are kept, to be found again by what they are known by.

    Raises:
        UnknownName: When one of them cannot be imported.
        StudyError: When one has changed since, or cannot be told from a changed one on disk.
    """
    parts = {
        "environment": _identified(study.environment, environment_identity, on_disk),
        "algorithm": _identified(study.algorithm, algorithm_identity, on_disk),
    }
    return study.model_copy(update=parts)


Spec = TypeVar("Spec", AlgorithmSpec, EnvironmentSpec)


def _identified(spec: Spec, identity: Callable[[Spec], str | None], on_disk: bool) -> Spec:
    role, name, given = (
        ("algorithm", spec.name, spec.implementation)
        if isinstance(spec, AlgorithmSpec)
        else ("environment", spec.id, spec.factory)
    )
    if given is not None and spec.identity is not None:
        return spec
    try:
        found = identity(spec)
    except Unidentified as error:
        if on_disk:
            raise StudyError(
                f"The {role} {name!r} cannot be told from a changed one, and a ledger on disk "
                f"would mix the two: {error}. Give it an attribute `version` (a number or text "
                f"that you change with it), make it of functions, classes and plain data, or keep "
                f"nothing on disk.",
                field=role,
            ) from None
        found = None
    if spec.identity is not None and found != spec.identity:
        raise StudyError(
            f"The {role} {name!r} is not the one that this study was made with: its code or what "
            f"it holds has changed since, or Python's version. Go on with the old one, or ask "
            f"anew (without the saved study) with another --out.",
            field=f"{role}.identity",
        )
    return spec.model_copy(update={"identity": found})


def _check_until(study: Study, estimator: EstimatorName) -> None:
    if study.until.verdicts and estimator != "difference":
        raise StudyError(
            f"until.verdicts cannot be reached: the estimator {estimator!r} gives no intervals "
            f"and no verdicts. Use estimator 'difference' (a budget of at least two blocks, or "
            f"longer segments), or until.reliability.",
            field="until.verdicts",
        )


def _check_segments(segments: Segments) -> None:
    if len(segments) < 2:
        raise StudyError(
            f"A map compares segments, of which it needs at least 2, but all {segments.stop[0]} "
            f"frames are in one: use a smaller --segment-length (masking.segment_length), or more "
            f"masking.boundaries.",
            field="masking.segment_length",
        )


def _about_demonstrations(demonstrations: Demonstrations, environment: Environment) -> list[Notice]:
    n_outside = check_demonstrations(demonstrations, environment)
    if not n_outside:
        return []
    detail = (
        f"{n_outside} of {demonstrations.n_frames} actions lie outside the action space "
        f"{environment.action_space}; they are kept (the policy's own are clipped)."
    )
    return [Notice(code="actions_outside_bounds", detail=detail)]


def _resolve_evaluation(
    study: Study, environment: Environment, demonstrations: Demonstrations
) -> tuple[Evaluation, list[Notice]]:
    """Fill in the evaluation; environments that show that they were used before are not reused."""
    max_steps, notices = _resolve_steps(study, environment)
    backend = resolve_backend(study.evaluation, study.environment)
    found = study.evaluation.model_copy(update={"max_steps": max_steps, "backend": backend})
    if backend != "gymnasium":
        return found, notices
    reuse = check_reuse(environment, found, demonstrations.acts[: demonstrations.lengths[0]])
    if not reuse.is_safe:
        found = found.model_copy(update={"reuse_environments": False})
        logger.warning(reuse.cost(found.n_episodes))
    return found, notices + reuse.notices(environment)


def _resolve_steps(study: Study, environment: Environment) -> tuple[int, list[Notice]]:
    steps = study.evaluation.max_steps or environment.max_episode_steps
    if steps is not None:
        return steps, []
    detail = (
        f"Environment {study.environment.id!r} has no step limit: episodes are cut after "
        f"{DEFAULT_MAX_STEPS} steps. Set evaluation.max_steps."
    )
    return DEFAULT_MAX_STEPS, [Notice(code="step_limit", detail=detail)]


def _demonstrated(
    demonstrations: Demonstrations, study: Study, environment: Environment
) -> DemonstratedReturn | None:
    """Return what the demonstrations returned, or None where the file does not tell."""
    limit = study.evaluation.max_steps or environment.max_episode_steps
    if demonstrations.rews is None or study.evaluation.score != "return":
        return None
    returns = np.add.reduceat(demonstrations.rews.astype(np.float64), demonstrations.first_frame)
    lengths, terminal = demonstrations.lengths, demonstrations.terminal
    whole = np.zeros(len(lengths), dtype=bool) if terminal is None else terminal.copy()
    if limit is not None:
        whole |= lengths >= limit
        returns = np.where(whole, returns, returns * limit / lengths)
    elif not whole.any():
        return None
    counted = returns[whole] if whole.any() else returns
    n_whole = int(whole.sum())
    return DemonstratedReturn(
        mean=float(counted.mean()), n_whole=n_whole, n_cut=len(lengths) - n_whole
    )


def _masks_at_once(spec: AlgorithmSpec, n_frames: int, environment: Environment) -> int:
    algorithm = make_algorithm(spec)
    if isinstance(algorithm, ChecksEnvironment):
        algorithm.check_environment(environment)
    if isinstance(algorithm, TrainsMany):
        return algorithm.masks_at_once(n_frames, environment)
    return SHARD_SIZE
