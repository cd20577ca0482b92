"""Turns the study of a request into a study that this server will run."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from r2rise import Demonstrations, Study
from r2rise.algorithms import algorithm_names, leaves_amount_open
from r2rise.ask.training_amounts import n_checked
from r2rise.errors import suggestion
from r2rise.run.resolve import Resolved, resolve
from r2rise_service.api.problems import ProblemError, as_sentence, pointer_to, validation_message
from r2rise_service.models import Cost, ProblemPart
from r2rise_service.settings import Settings
from r2rise_service.storage import NewJob

ENVIRONMENT_ID = re.compile(r"([\w-]+/)?[\w.-]+-v\d+", re.ASCII)
"""Pattern of a registered id. For other ids, gymnasium would import a module."""


class AcceptedJob(NamedTuple):
    """A job that may be stored, its maximum cost, and a description of its training check."""

    new_job: NewJob
    cost: Cost
    training_check: str | None = None


def parse_study(fields: Mapping[str, Any]) -> Study:
    """Return the study for plain JSON data.

    Raises:
        ProblemError: When a field is wrong; it has a pointer to each wrong field.
    """
    check_json(fields)
    preset = fields.get("preset")
    if preset is not None and not isinstance(preset, str):
        raise study_problem(["preset"], f"expected the name of a preset, got {preset!r}")
    try:
        return Study.model_validate(fields)
    except ValidationError as error:
        parts = [_problem_part(problem, fields) for problem in map(dict, error.errors())]
        text = "This study cannot be used: see `errors` for each field."
        raise ProblemError(422, "invalid-study", text, parts=parts) from None


def check_study(study: Study, settings: Settings) -> None:
    """Check that a study uses only what the operator allows and what is installed.

    Raises:
        ProblemError: When it uses anything else. Nothing has been imported by then.
    """
    environment, algorithm = study.environment, study.algorithm
    if study.demonstrations is None:
        raise study_problem(
            ["demonstrations"], "expected the sha256 of an uploaded dataset, got none"
        )
    if not is_allowed(environment.id, settings.environments):
        allowed = ", ".join(settings.environments)
        raise study_problem(
            ["environment", "id"],
            f"expected one of the server's environments ({allowed}), got {environment.id!r}",
        )
    if environment.kwargs:
        raise study_problem(
            ["environment", "kwargs"],
            "arguments of environments can be used only on your own machine",
        )
    if algorithm.implementation is not None or algorithm.name not in algorithm_names():
        raise study_problem(
            ["algorithm", "name"],
            f"expected an algorithm installed on the server, got {algorithm.name!r}. "
            f"{suggestion(algorithm.name, algorithm_names())}",
        )
    cores = os.cpu_count() or 1
    if study.execution.threads > cores:
        raise study_problem(
            ["execution", "threads"],
            f"expected at most {cores} threads, the server's cores, got {study.execution.threads}",
        )


def resolve_within_limits(study: Study, path: Path, settings: Settings) -> Resolved:
    """Return the study with all defaults resolved.

    Raises:
        InputError: When study and demonstrations do not fit.
        ProblemError: When it exceeds the server's limit of retrainings or steps for one job.
    """
    max_retrainings = settings.max_retrainings
    if (study.masking.block_size or 1) > max_retrainings:
        raise study_problem(
            ["masking", "block_size"], f"expected at most {max_retrainings} masks in a block"
        )
    demonstrations = Demonstrations.load(path, obs_keys=study.environment.obs_keys)
    resolved = resolve(study, demonstrations)
    total = n_retrainings(resolved.study, demonstrations.n_frames)
    if total > max_retrainings:
        raise study_problem(
            ["budget", "retrainings"],
            f"expected at most {max_retrainings} retrainings in one job, baselines and the "
            f"training check included, got {total}"
            f"{_rounding_words(study, resolved.study)}",
        )
    check_steps(resolved.study, total, settings)
    return resolved


def _rounding_words(requested: Study, resolved: Study) -> str:
    """Return how a budget was rounded up; an empty text where it was not."""
    n_requested, n_resolved = requested.budget.retrainings, resolved.budget.retrainings
    if n_requested == n_resolved:
        return ""
    block_size = resolved.masking.block_size
    return f" ({n_requested} were rounded up to {n_resolved}: whole blocks of {block_size})"


def check_steps(study: Study, n_retrainings: int, settings: Settings) -> None:
    """Check the total number of environment steps of a job.

    Raises:
        ProblemError: When its episodes may exceed the server's limit of steps for one job.
    """
    n_steps = most_steps(study, n_retrainings)
    if n_steps > settings.max_steps:
        raise study_problem(
            ["evaluation"],
            f"expected at most {settings.max_steps} environment steps in one job, got {n_steps}: "
            f"{n_retrainings} retrainings x {study.evaluation.n_episodes} episodes (n_episodes) x "
            f"{study.evaluation.max_steps} steps (max_steps)",
        )


def most_steps(study: Study, n_retrainings: int) -> int:
    """Return the environment steps of a resolved study when every episode runs to its limit."""
    return n_retrainings * study.evaluation.n_episodes * (study.evaluation.max_steps or 0)


def cost_of(parts: Sequence[tuple[Study, int]]) -> Cost:
    """Return the cost of resolved studies, each with its number of retrainings."""
    return Cost(
        retrainings=sum(n for _, n in parts),
        episodes=sum(n * study.evaluation.n_episodes for study, n in parts),
        most_steps=sum(most_steps(study, n) for study, n in parts),
    )


def n_retrainings(study: Study, n_frames: int) -> int:
    """Return all retrainings of a resolved study: random actions, baselines, design, check."""
    n_check = n_checked(study, n_frames) if leaves_amount_open(study.algorithm) else 0
    return 1 + study.budget.baseline_retrainings + study.budget.retrainings + n_check


def is_allowed(environment_id: str, patterns: Sequence[str]) -> bool:
    """Return whether an id matches a pattern; `*` at the end of a pattern matches any ending."""
    return ENVIRONMENT_ID.fullmatch(environment_id) is not None and any(
        environment_id.startswith(pattern[:-1])
        if pattern.endswith("*")
        else environment_id == pattern
        for pattern in patterns
    )


def study_problem(names: Sequence[str | int], detail: str) -> ProblemError:
    """Return the problem that reports one field of a study."""
    part = ProblemPart(pointer=pointer_to(["study", *names]), detail=detail, code="refused")
    text = as_sentence(f"This study cannot be used: {'.'.join(map(str, names))}: {detail}")
    return ProblemError(422, "invalid-study", text, parts=[part])


def check_json(fields: Mapping[str, Any]) -> None:
    """Refuse what Python parses but JSON does not allow: NaN, and lone surrogates.

    Raises:
        ProblemError: When the fields contain one of these.
    """
    try:
        json.dumps(fields, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise study_problem([], f"expected plain JSON without NaN or Infinity ({error})") from None


def _problem_part(problem: Mapping[str, Any], fields: Mapping[str, Any]) -> ProblemPart:
    return ProblemPart(
        pointer=pointer_to(["study", *_path_in_study(problem["loc"], fields)]),
        detail=validation_message(problem),
        code=str(problem["type"]),
    )


def _path_in_study(location: Sequence[str | int], value: Any) -> list[str | int]:
    """Return the leading part of a pydantic location that is a path in the JSON value."""
    path: list[str | int] = []
    for name in location:
        if isinstance(value, dict):
            inner_value = value.get(str(name))
        elif isinstance(value, list) and isinstance(name, int):
            inner_value = value[name] if name < len(value) else None
        else:
            break
        path.append(name)
        value = inner_value
    return path
