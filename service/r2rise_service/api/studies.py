"""From the study on the wire to one that this server will run."""

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
from r2rise_service.api.problems import ProblemError, in_words, pointer_to, sentence
from r2rise_service.models import Cost, ProblemPart
from r2rise_service.settings import Settings
from r2rise_service.storage import NewJob

ENVIRONMENT_ID = re.compile(r"([\w-]+/)?[\w.-]+-v\d+", re.ASCII)
"""Other ids make gymnasium import a module."""


class Accepted(NamedTuple):
    """A job that may be stored, what it would take at most, and how its training is checked."""

    new: NewJob
    cost: Cost
    training_check: str | None = None


def parse_study(fields: Mapping[str, Any]) -> Study:
    """Return the study of plain data.

    Raises:
        ProblemError: With a pointer to each wrong field.
    """
    check_json(fields)
    preset = fields.get("preset")
    if preset is not None and not isinstance(preset, str):
        raise refused(["preset"], f"expected the name of a preset, got {preset!r}")
    try:
        return Study.model_validate(fields)
    except ValidationError as error:
        parts = [_part(problem, fields) for problem in map(dict, error.errors())]
        text = "This study cannot be used: see `errors` for each field."
        raise ProblemError(422, "invalid-study", text, parts=parts) from None


def check_study(study: Study, settings: Settings) -> None:
    """Check that a study uses only what the operator allows and what is installed.

    Raises:
        ProblemError: When it asks for something else. Nothing was imported.
    """
    environment, algorithm = study.environment, study.algorithm
    if study.demonstrations is None:
        raise refused(["demonstrations"], "expected the sha256 of an uploaded dataset, got none")
    if not is_allowed(environment.id, settings.environments):
        allowed = ", ".join(settings.environments)
        raise refused(
            ["environment", "id"],
            f"expected one of the server's environments ({allowed}), got {environment.id!r}",
        )
    if environment.kwargs:
        raise refused(
            ["environment", "kwargs"], "arguments of environments are for your own machine only"
        )
    if algorithm.implementation is not None or algorithm.name not in algorithm_names():
        raise refused(
            ["algorithm", "name"],
            f"expected an algorithm installed on the server, got {algorithm.name!r}. "
            f"{suggestion(algorithm.name, algorithm_names())}",
        )
    cores = os.cpu_count() or 1
    if study.execution.threads > cores:
        raise refused(
            ["execution", "threads"],
            f"expected at most {cores} threads, the server's cores, got {study.execution.threads}",
        )


def resolve_within(study: Study, path: Path, settings: Settings) -> Resolved:
    """Return the study with everything filled in.

    Raises:
        InputError: When study and demonstrations do not fit.
        ProblemError: When it asks for more retrainings or steps than the server does for one job.
    """
    most = settings.max_retrainings
    if (study.masking.block_size or 1) > most:
        raise refused(["masking", "block_size"], f"expected at most {most} masks in a block")
    demonstrations = Demonstrations.load(path, obs_keys=study.environment.obs_keys)
    resolved = resolve(study, demonstrations)
    total = n_retrainings(resolved.study, demonstrations.n_frames)
    if total > most:
        raise refused(
            ["budget", "retrainings"],
            f"expected at most {most} retrainings in one job, baselines and the training check "
            f"included, got {total}"
            f"{_rounded(study, resolved.study)}",
        )
    check_steps(resolved.study, total, settings)
    return resolved


def _rounded(asked: Study, resolved: Study) -> str:
    """Return how a budget was rounded up, where it was."""
    before, after = asked.budget.retrainings, resolved.budget.retrainings
    if before == after:
        return ""
    return f" ({before} were rounded up to {after}: whole blocks of {resolved.masking.block_size})"


def check_steps(study: Study, n_retrainings: int, settings: Settings) -> None:
    """Check that the episodes of a job are not too many or too long together.

    Raises:
        ProblemError: When they may take more environment steps than the server does for one job.
    """
    n_steps = most_steps(study, n_retrainings)
    if n_steps > settings.max_steps:
        raise refused(
            ["evaluation"],
            f"expected at most {settings.max_steps} environment steps in one job, got {n_steps}: "
            f"{n_retrainings} retrainings x {study.evaluation.n_episodes} episodes (n_episodes) x "
            f"{study.evaluation.max_steps} steps (max_steps)",
        )


def most_steps(study: Study, n_retrainings: int) -> int:
    """Return the environment steps of a resolved study if no episode ended before its limit."""
    return n_retrainings * study.evaluation.n_episodes * (study.evaluation.max_steps or 0)


def cost_of(parts: Sequence[tuple[Study, int]]) -> Cost:
    """Return what so many retrainings of resolved studies take."""
    return Cost(
        retrainings=sum(n for _, n in parts),
        episodes=sum(n * study.evaluation.n_episodes for study, n in parts),
        most_steps=sum(most_steps(study, n) for study, n in parts),
    )


def n_retrainings(study: Study, n_frames: int) -> int:
    """Return what a resolved study asks for: random actions, baselines, design, training check."""
    checked = n_checked(study, n_frames) if leaves_amount_open(study.algorithm) else 0
    return 1 + study.budget.baseline_retrainings + study.budget.retrainings + checked


def is_allowed(environment_id: str, patterns: Sequence[str]) -> bool:
    """Whether an id is one of a list; `*` at the end of a pattern stands for any ending."""
    return ENVIRONMENT_ID.fullmatch(environment_id) is not None and any(
        environment_id.startswith(pattern[:-1])
        if pattern.endswith("*")
        else environment_id == pattern
        for pattern in patterns
    )


def refused(names: Sequence[str | int], detail: str) -> ProblemError:
    """Return the problem of one field of a study."""
    part = ProblemPart(pointer=pointer_to(["study", *names]), detail=detail, code="refused")
    text = sentence(f"This study cannot be used: {'.'.join(map(str, names))}: {detail}")
    return ProblemError(422, "invalid-study", text, parts=[part])


def check_json(fields: Mapping[str, Any]) -> None:
    """Refuse what Python reads but JSON does not have: NaN, and halves of characters.

    Raises:
        ProblemError: When there is such a thing.
    """
    try:
        json.dumps(fields, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise refused([], f"expected plain JSON without NaN or Infinity ({error})") from None


def _part(problem: Mapping[str, Any], fields: Mapping[str, Any]) -> ProblemPart:
    return ProblemPart(
        pointer=pointer_to(["study", *_path(problem["loc"], fields)]),
        detail=in_words(problem),
        code=str(problem["type"]),
    )


def _path(location: Sequence[str | int], sent: Any) -> list[str | int]:
    """Return the part of a pydantic location that is a path in what was sent."""
    found: list[str | int] = []
    for name in location:
        if isinstance(sent, dict):
            inner = sent.get(str(name))
        elif isinstance(sent, list) and isinstance(name, int):
            inner = sent[name] if name < len(sent) else None
        else:
            break
        found.append(name)
        sent = inner
    return found
