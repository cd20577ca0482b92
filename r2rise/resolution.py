"""From the study a user writes to one in which everything that matters is filled in."""

import logging
import math
from collections.abc import Callable, Iterator
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
from r2rise.demonstrations import Demonstrations
from r2rise.environments import (
    DEFAULT_MAX_STEPS,
    Environment,
    check_demonstrations,
    environment_identity,
)
from r2rise.errors import StudyError
from r2rise.evaluation.backends import resolve_backend
from r2rise.evaluation.reuse import check_reuse
from r2rise.identity import Unidentified
from r2rise.ledger import LedgerHeader
from r2rise.masks import BALANCED_BLOCK_SIZE, foldover_block_size
from r2rise.notices import Notice
from r2rise.power import Power
from r2rise.segments import FINEST_SEGMENTS, Segments, with_longer_segments
from r2rise.study import Study
from r2rise.study_parts import (
    AlgorithmSpec,
    DemonstratedReturn,
    EnvironmentSpec,
    EstimatorName,
    Evaluation,
    Masking,
)
from r2rise.training_check import training_notices

logger = logging.getLogger(__name__)

FEWEST_SEGMENTS = 4
"""Segments below which no longer ones are chosen; a pilot needs as many."""

USUAL_RETRAININGS = 2048
"""Retrainings that segments are chosen for where a study says when to stop."""

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
    study = _with_segment_length(study, demonstrations)
    segments = demonstrations.segments(study.masking)
    _check_segments(segments)
    masking = _resolve_masking(study, len(segments))
    estimator = _resolve_estimator(study, masking, len(segments))
    _check_until(study, estimator)
    budget, more = _round_budget(study, masking)
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
            update={"shard_size": _resolve_shard_size(study, masking, wanted)}
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
    if not held.design["evaluation"].get("reuse_environments", True):
        apart = study.evaluation.model_copy(update={"reuse_environments": False})
        study = study.model_copy(update={"evaluation": apart})
    asked, begun = study.masking, held.design["masking"]
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


def _with_segment_length(study: Study, demonstrations: Demonstrations) -> Study:
    """Choose the shortest segments that the budget can tell apart, where that is left open.

    What is chosen is logged, not noted in the map: a run that goes on finds it chosen.
    """
    masking, budget = study.masking, _expected_retrainings(study)
    if masking.segment_length != "auto":
        return study
    options = list(_segment_lengths(masking, demonstrations))
    fitting = [(own, n) for own, n in options if 2 * foldover_block_size(n) <= budget]
    chosen, n_segments = fitting[0] if fitting else options[-1]
    study = study.model_copy(update={"masking": chosen})
    finest, n_finest = options[0]
    if chosen == finest:
        return study
    length = chosen.segment_length
    what = "Whole demonstrations" if length == "all" else f"Segments of {length} frames"
    logger.warning(
        f"{what} ({n_segments}), chosen for {budget} retrainings: {n_finest} segments of "
        f"{finest.segment_length} frames would take {2 * foldover_block_size(n_finest)} "
        f"(--retrainings, or --segment-length {finest.segment_length} in spite of that)."
    )
    return study


def _expected_retrainings(study: Study) -> int:
    budget = study.budget.retrainings
    return min(budget, USUAL_RETRAININGS) if study.until.may_end_early else budget


def _segment_lengths(
    masking: Masking, demonstrations: Demonstrations
) -> Iterator[tuple[Masking, int]]:
    """Yield 10, 20, 40, ... frames and whole demonstrations, with the number of segments.

    Of lengths with fewer than 4 segments only the shortest, where there is no other.
    """
    finest = masking.model_copy(update={"segment_length": FINEST_SEGMENTS})
    for own in with_longer_segments(finest, demonstrations.lengths):
        n_segments = len(demonstrations.segments(own))
        if own == finest or n_segments >= FEWEST_SEGMENTS:
            yield own, n_segments


def _resolve_masking(study: Study, n_segments: int) -> Masking:
    masking = study.masking
    design = masking.design
    smallest = foldover_block_size(n_segments)
    if design == "auto":
        least = 2 if study.until.may_end_early else 1  # one block has one training seed
        fits = study.budget.retrainings >= least * (masking.block_size or smallest)
        design = "foldover" if masking.keep_probability == 0.5 and fits else "balanced"
    fits = study.budget.retrainings >= 2 * smallest
    default = {
        "foldover": smallest,
        "balanced": smallest if fits else BALANCED_BLOCK_SIZE,
        "bernoulli": 1,
    }[design]
    block_size = masking.block_size or default
    if design == "foldover" and (block_size < smallest or block_size & (block_size - 1)):
        raise StudyError(
            f"masking.block_size {block_size} does not fit a foldover design of {n_segments} "
            f"segments: expected a power of two of at least {smallest}, or none.",
            field="masking.block_size",
        )
    if design == "balanced" and block_size % 2:
        raise StudyError(
            f"masking.block_size {block_size} does not fit a balanced design: expected an even "
            f"number (masks keep more and fewer segments in turn).",
            field="masking.block_size",
        )
    if masking.training_seeds == "pair" and design != "foldover":
        raise StudyError(
            f"masking.training_seeds 'pair' is for the foldover design, but the budget of "
            f"{study.budget.retrainings} retrainings holds no block of {smallest}.",
            field="masking.training_seeds",
        )
    return masking.model_copy(update={"design": design, "block_size": block_size})


def _round_budget(study: Study, masking: Masking) -> tuple[int, list[Notice]]:
    """Round a fold-over budget up to whole blocks; where it is only a bound, without a word."""
    retrainings = study.budget.retrainings
    block_size = masking.block_size or 1
    rounded = -(-retrainings // block_size) * block_size
    if masking.design != "foldover" or rounded == retrainings:
        return retrainings, []
    if study.until.may_end_early:
        return rounded, []
    detail = (
        f"{retrainings} retrainings rounded up to {rounded}: whole fold-over blocks of "
        f"{block_size}."
    )
    return rounded, [Notice(code="budget_rounded", detail=detail)]


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
    if not reuse.harmless:
        found = found.model_copy(update={"reuse_environments": False})
    return found, notices + reuse.notices(environment, found.n_episodes)


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


def _resolve_estimator(study: Study, masking: Masking, n_segments: int) -> EstimatorName:
    """Take least squares where blocks have full rank with room to spare, else ridge."""
    block_size = masking.block_size or 1
    n_masks = block_size if block_size > 1 else study.budget.retrainings
    if study.estimator == "auto":
        return "difference" if n_masks >= 2 * (n_segments + 1) else "ridge"
    if study.estimator == "difference" and 1 < block_size < n_segments + 2:
        raise StudyError(
            f"The difference estimator needs blocks of at least {n_segments + 2} masks for "
            f"{n_segments} segments, but masking.block_size is {block_size}: use longer blocks or "
            f"estimator 'ridge'.",
            field="estimator",
        )
    return study.estimator


def _masks_at_once(spec: AlgorithmSpec, n_frames: int, environment: Environment) -> int:
    algorithm = make_algorithm(spec)
    if isinstance(algorithm, ChecksEnvironment):
        algorithm.check_environment(environment)
    if isinstance(algorithm, TrainsMany):
        return algorithm.masks_at_once(n_frames, environment)
    return SHARD_SIZE


def _resolve_shard_size(study: Study, masking: Masking, wanted: int) -> int:
    """Check that shards hold whole pairs, and divide a block or are whole blocks."""
    block_size = masking.block_size or 1
    default = wanted if block_size == 1 else math.gcd(wanted, block_size)
    size = study.execution.shard_size or default
    pairs = size % 2 == 0 or masking.design != "foldover"
    if not pairs or (block_size % size and size % block_size):
        raise StudyError(
            f"execution.shard_size {size} does not fit blocks of {block_size} masks: expected a "
            f"divisor or a multiple{'' if pairs else ', and an even number'}.",
            field="execution.shard_size",
        )
    return size
