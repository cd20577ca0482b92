"""Resolving a study: every field that the user left open is filled in and checked."""

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
    frame_stack_notices,
    resolve_estimator,
    resolve_masking,
    resolve_shard_size,
    round_budget,
    with_segment_length,
)
from r2rise.environments import DEFAULT_MAX_STEPS, Environment, environment_identity
from r2rise.errors import StudyError
from r2rise.evaluation.backends import resolve_backend
from r2rise.evaluation.fit import fit
from r2rise.evaluation.reuse import check_first_step, check_reuse
from r2rise.ledger.ledger import LedgerHeader
from r2rise.results.training_check import training_notices
from r2rise.statistics.power import Power
from r2rise.study.choices import EstimatorName
from r2rise.study.hashing import with_first_defaults
from r2rise.study.identity import Unidentified
from r2rise.study.notices import Notice
from r2rise.study.parts import DemonstratedReturn, Evaluation
from r2rise.study.specs import AlgorithmSpec, EnvironmentSpec
from r2rise.study.study import Study

logger = logging.getLogger(__name__)

SHARD_SIZE = 2
"""Masks per call of a worker that trains them one by one: a pair of complements."""


@dataclass(frozen=True)
class Resolved:
    """A study ready to run.

    Attributes:
        study: The study with every field filled in.
        segments: The segments that are masked.
        power: The effects that the budget can resolve.
        notices: Notices for the user before any retraining is spent.
    """

    study: Study
    segments: Segments
    power: Power
    notices: tuple[Notice, ...]


def resolve(study: Study, demonstrations: Demonstrations) -> Resolved:
    """Fill in a study and check it against demonstrations, environment and algorithm.

    Raises:
        InputError: When study, demonstrations, environment and algorithm do not fit together;
            nothing has been spent.
        MissingExtra: When an optional package is needed and not installed.
    """
    environment = Environment(study.environment)
    study = with_identities(study)
    fitted, notices = fit(demonstrations, environment)
    check_hash(study, demonstrations)
    study = with_segment_length(study, demonstrations)
    notices += frame_stack_notices(study.masking, demonstrations)
    segments = demonstrations.segments(study.masking)
    _check_segments(segments)
    masking = resolve_masking(study, len(segments))
    estimator = resolve_estimator(study, masking, len(segments))
    _check_until(study, estimator)
    budget, budget_notices = round_budget(study, masking)
    notices += budget_notices
    _check_budget(budget)
    evaluation, evaluation_notices = _resolve_evaluation(study, environment, fitted)
    notices += evaluation_notices
    algorithm = check_algorithm(study.algorithm)
    masks_at_once = _masks_at_once(algorithm, demonstrations.n_frames, environment)
    fields = {
        "demonstrations": demonstrations.content_hash,
        "algorithm": algorithm,
        "masking": masking,
        "evaluation": evaluation,
        "demonstrated": _demonstrated_return(demonstrations, study, environment),
        "budget": study.budget.model_copy(update={"retrainings": budget}),
        "estimator": estimator,
        "execution": study.execution.model_copy(
            update={"shard_size": resolve_shard_size(study, masking, masks_at_once)}
        ),
    }
    resolved = study.model_copy(update=fields)
    notices += training_notices(resolved)
    power = Power(budget, len(segments))
    if not power.can_rank:
        notices.append(Notice(code="low_power", detail=power.warn()))
    return Resolved(resolved, segments, power, tuple(notices))


def _check_budget(retrainings: int) -> None:
    """Check that a map can be estimated from so many retrainings.

    Raises:
        StudyError: When there are too few.
    """
    if retrainings < 2:
        raise StudyError(
            f"budget.retrainings should be at least 2, since a map compares masks with each other, "
            f"got {retrainings}.",
            field="budget.retrainings",
        )


def with_ledger_design(study: Study, header: LedgerHeader) -> Study:
    """Return a study whose open masking fields are taken from the design of its ledger.

    The meaning of `auto` depends on the budget, but a ledger has to be extended with its own design
    whatever the budget is. A ledger whose environments were not reused never reuses them. The
    masking stays as it is when another of its fields differs from the ledger's.
    """
    design = with_first_defaults(header.design)
    if not design["evaluation"]["reuse_environments"]:
        evaluation = study.evaluation.model_copy(update={"reuse_environments": False})
        study = study.model_copy(update={"evaluation": evaluation})
    masking, ledger_masking = study.masking, design["masking"]
    open_fields: dict[str, Any] = {}
    if masking.segment_length == "auto":
        open_fields["segment_length"] = ledger_masking["segment_length"]
    if masking.design == "auto":
        open_fields["design"] = ledger_masking["design"]
    if open_fields and masking.block_size is None:
        open_fields["block_size"] = ledger_masking["block_size"]
    masking = masking.model_copy(update=open_fields)
    is_same = masking.model_dump(mode="json") == ledger_masking
    return study.model_copy(update={"masking": masking}) if is_same else study


def check_hash(study: Study, demonstrations: Demonstrations) -> None:
    """Check that a study that names the hash of its demonstrations is about these.

    Raises:
        StudyError: When it is about others.
    """
    study_hash = study.demonstrations
    if study_hash is not None and study_hash != demonstrations.content_hash:
        raise StudyError(
            f"The study is about other demonstrations ({study_hash[:19]}) than these "
            f"({demonstrations.content_hash[:19]}): give the file it was made for, or "
            f"remove 'demonstrations' from the study.",
            field="demonstrations",
        )


def with_identities(study: Study, *, on_disk: bool = False) -> Study:
    """Return the study with the identities of a user's own algorithm and environment.

    Args:
        study: The study. An identity that it already has must still be right; it is not checked
            for an object that the study itself holds.
        on_disk: Whether records are kept on disk, where a later run finds them by the identity.

    Raises:
        UnknownName: When algorithm or environment cannot be imported.
        StudyError: When one of them has changed since its identity was taken, or has no identity
            although records are kept on disk.
    """
    parts = {
        "environment": _with_identity(study.environment, environment_identity, on_disk),
        "algorithm": _with_identity(study.algorithm, algorithm_identity, on_disk),
    }
    return study.model_copy(update=parts)


Spec = TypeVar("Spec", AlgorithmSpec, EnvironmentSpec)


def _with_identity(spec: Spec, identify: Callable[[Spec], str | None], on_disk: bool) -> Spec:
    role, name, user_object = (
        ("algorithm", spec.name, spec.implementation)
        if isinstance(spec, AlgorithmSpec)
        else ("environment", spec.id, spec.factory)
    )
    if user_object is not None and spec.identity is not None:
        return spec
    try:
        identity = identify(spec)
    except Unidentified as error:
        if on_disk:
            raise StudyError(
                f"The {role} {name!r} cannot be distinguished from a changed one, and a ledger on "
                f"disk would mix the two: {error}. Give it an attribute `version` (a number or "
                f"text that you change with it), build it from functions, classes and plain data, "
                f"or keep nothing on disk.",
                field=role,
            ) from None
        identity = None
    if spec.identity is not None and identity != spec.identity:
        raise StudyError(
            f"The {role} {name!r} is not the one that this study was made with: its code, its "
            f"data or the version of Python has changed since. Continue with the old one, or start "
            f"a new study (without the saved one) in another directory.",
            field=f"{role}.identity",
        )
    return spec.model_copy(update={"identity": identity})


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
            f"A map compares at least 2 segments, but all {segments.stop[0]} frames are in one: "
            f"use a smaller masking.segment_length, or more masking.boundaries.",
            field="masking.segment_length",
        )


def _resolve_evaluation(
    study: Study, environment: Environment, demonstrations: Demonstrations
) -> tuple[Evaluation, list[Notice]]:
    """Fill in the evaluation; environments whose episodes depend on earlier use are not reused."""
    max_steps, notices = _resolve_max_steps(study, environment)
    backend = resolve_backend(study.evaluation, study.environment)
    evaluation = study.evaluation.model_copy(update={"max_steps": max_steps, "backend": backend})
    if backend != "gymnasium":
        return evaluation, notices
    check_first_step(environment)
    reuse = check_reuse(environment, evaluation, demonstrations.acts[: demonstrations.lengths[0]])
    if not reuse.is_safe:
        evaluation = evaluation.model_copy(update={"reuse_environments": False})
        logger.warning(reuse.cost(evaluation.n_episodes))
    return evaluation, notices + reuse.notices(environment)


def _resolve_max_steps(study: Study, environment: Environment) -> tuple[int, list[Notice]]:
    max_steps = study.evaluation.max_steps or environment.max_episode_steps
    if max_steps is not None:
        return max_steps, []
    detail = (
        f"Environment {study.environment.id!r} has no step limit: episodes are cut after "
        f"{DEFAULT_MAX_STEPS} steps. Set evaluation.max_steps."
    )
    return DEFAULT_MAX_STEPS, [Notice(code="step_limit", detail=detail)]


def _demonstrated_return(
    demonstrations: Demonstrations, study: Study, environment: Environment
) -> DemonstratedReturn | None:
    """Return the mean return of the demonstrations; None without rewards or with another score.

    Whole demonstrations are those that end terminally or reach the step limit. The return of a
    shorter one is scaled up to the step limit, and counts only if there is no whole one.
    """
    limit = study.evaluation.max_steps or environment.max_episode_steps
    if demonstrations.rews is None or study.evaluation.score != "return":
        return None
    returns = np.add.reduceat(demonstrations.rews.astype(np.float64), demonstrations.first_frame)
    lengths, terminal = demonstrations.lengths, demonstrations.terminal
    is_whole = np.zeros(len(lengths), dtype=bool) if terminal is None else terminal.copy()
    if limit is not None:
        is_whole |= lengths >= limit
        returns = np.where(is_whole, returns, returns * limit / lengths)
    elif not is_whole.any():
        return None
    averaged = returns[is_whole] if is_whole.any() else returns
    n_whole = int(is_whole.sum())
    return DemonstratedReturn(
        mean=float(averaged.mean()), n_whole=n_whole, n_cut=len(lengths) - n_whole
    )


def _masks_at_once(spec: AlgorithmSpec, n_frames: int, environment: Environment) -> int:
    algorithm = make_algorithm(spec)
    if isinstance(algorithm, ChecksEnvironment):
        algorithm.check_environment(environment)
    if isinstance(algorithm, TrainsMany):
        return algorithm.masks_at_once(n_frames, environment)
    return SHARD_SIZE
