"""From a request for a job to one that this server will do, and what it will cost."""

from collections.abc import Mapping, Sequence

import numpy as np

from r2rise.algorithms import leaves_amount_open
from r2rise.ask.training_amounts import price_words
from r2rise.data.segments import Segments
from r2rise.design.tasks import TaskKey
from r2rise.errors import MapError, R2RiseError
from r2rise.ledger.ledger import Ledger
from r2rise.results.importance_map import ImportanceMap
from r2rise_service.api.context import Context
from r2rise_service.api.problems import ProblemError, sentence
from r2rise_service.api.studies import (
    Accepted,
    check_study,
    cost_of,
    n_retrainings,
    parse_study,
    refused,
    resolve_within,
)
from r2rise_service.kinds import EXPLAIN, KINDS
from r2rise_service.models import Cost, JobInfo, JobRequest, ProblemPart
from r2rise_service.queue.questions import max_later_tasks, question_about_maps
from r2rise_service.queue.stored import MissingTasks, StoredRunner
from r2rise_service.settings import Settings
from r2rise_service.storage import NewJob, Source

_Wrong = tuple[str, str, str]
"""A field, what is wrong with it, and that in a word for programs."""


def accept(context: Context, owner: str, asked: JobRequest) -> Accepted:
    """Return the job of a request whose fields are right.

    Raises:
        ProblemError: When it cannot be done, or is more than this server does for one job.
        InputError: When study and demonstrations do not fit.
    """
    if KINDS[asked.kind].is_based_on_maps:
        return _accept_basis(context, owner, asked)
    study = parse_study(asked.study or {})
    check_study(study, context.settings)
    found = context.store.datasets.find(owner, sha256=study.demonstrations)
    if not found:
        raise refused(
            ["demonstrations"],
            f"you have no dataset {study.demonstrations!r}: upload it first (POST /datasets)",
        )
    path = context.files.path(found[0].sha256)
    resolved = resolve_within(study, path, context.settings)
    n_frames = found[0].n_frames
    total = n_retrainings(resolved.study, n_frames)
    new = NewJob(
        owner=owner,
        kind=EXPLAIN.name,
        dataset_id=found[0].id,
        study=resolved.study,
        total=total,
        warnings=resolved.notices,
        name=asked.name,
        labels=asked.labels,
        priority=asked.priority,
    )
    is_open = leaves_amount_open(resolved.study.algorithm)
    check = price_words(resolved.study, n_frames) if is_open else None
    return Accepted(new, cost_of([(resolved.study, total)]), check)


def check_fields(asked: JobRequest) -> None:
    """Check that a request has the fields of its kind and no others.

    Raises:
        ProblemError: With a pointer to each wrong field.
    """
    is_based = KINDS[asked.kind].is_based_on_maps
    wrong = _wrong_basis(asked) if is_based else _wrong_study(asked)
    if wrong:
        details = "; ".join(f"{name}: {detail}" for name, detail, _ in wrong)
        text = f"A job of the kind {asked.kind} cannot be asked for like that. {details}."
        parts = [ProblemPart(pointer=f"#/{name}", detail=d, code=c) for name, d, c in wrong]
        raise ProblemError(422, "invalid", text, parts=parts)


def _wrong_study(asked: JobRequest) -> list[_Wrong]:
    wrong: list[_Wrong] = []
    if asked.study is None:
        wrong.append(("study", "Expected the fields of a study", "missing"))
    for name in ("based_on", "repetitions"):
        if name in asked.model_fields_set and getattr(asked, name) not in ((), None):
            detail = f"A job of the kind {asked.kind} has a study instead"
            wrong.append((name, detail, "extra_forbidden"))
    return wrong


def _wrong_basis(asked: JobRequest) -> list[_Wrong]:
    wrong: list[_Wrong] = []
    n, kind = len(asked.based_on), KINDS[asked.kind]
    if asked.study is not None:
        detail = f"A job of the kind {kind.name} has the study of the job it is based on"
        wrong.append(("study", detail, "extra_forbidden"))
    fewest, most = kind.min_bases, kind.max_bases
    if not fewest <= n <= most:
        count = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        detail = f"Expected {count} ids of jobs of the kind {EXPLAIN.name}, got {n}"
        wrong.append(("based_on", detail, "missing" if n == 0 else "wrong_number"))
    elif len(set(asked.based_on)) < n:
        wrong.append(("based_on", "Expected each job once", "twice"))
    if kind.repetitions is None and asked.repetitions is not None:
        wrong.append(("repetitions", f"{kind.activity} knows how many it needs", "extra_forbidden"))
    return wrong


def _accept_basis(context: Context, owner: str, asked: JobRequest) -> Accepted:
    """Return a job that is based on maps.

    Raises:
        ProblemError: When it cannot be done, or is more than this server does for one job.
    """
    jobs = [explained(context, owner, job_id) for job_id in asked.based_on]
    for job in jobs:
        _check_succeeded(job)
        check_study(job.study, context.settings)  # what is allowed may have changed
    repetitions = asked.repetitions or KINDS[asked.kind].repetitions
    try:
        maps = dict(zip(_names(jobs), (context.maps.map(job) for job in jobs), strict=True))
    except R2RiseError as error:
        raise _refused(str(error)) from None
    runners = [_runner(context, asked, part, job) for part, job in enumerate(jobs)]
    cost = _cost(asked, runners, maps, repetitions)
    _check_size(asked, cost, context.settings)
    new = NewJob(
        owner=owner,
        kind=asked.kind,
        dataset_id=jobs[0].dataset_id,
        study=jobs[0].study,
        total=sum(len(runner.requested) for runner in runners),
        name=asked.name,
        labels=asked.labels,
        priority=asked.priority,
        sources=tuple(map(_source, jobs, maps, maps.values())),
        repetitions=repetitions,
    )
    return Accepted(new, cost)


def explained(context: Context, owner: str, job_id: str, field: str = "based_on") -> JobInfo:
    """Return one of the owner's jobs that compute maps.

    Raises:
        ProblemError: When there is none of this id, or it is of another kind.
    """
    job = context.store.jobs.get(owner, job_id)
    if job is None:
        raise _refused(f"you have no job {job_id!r}: `r2rise jobs list` lists them", field)
    if job.kind != EXPLAIN.name:
        detail = f"expected a job of the kind {EXPLAIN.name}, but {job_id} is of {job.kind}"
        raise _refused(detail, field)
    return job


def _check_succeeded(job: JobInfo) -> None:
    if job.status != "succeeded":
        detail = f"Job {job.id} is {job.status}: its map can be used once it has succeeded."
        raise ProblemError(409, "not-finished", detail)


def _names(jobs: Sequence[JobInfo]) -> list[str]:
    """Return what the maps are called: as their jobs, where these have names that differ."""
    for names in ([job.name for job in jobs], [job.study.algorithm.name for job in jobs]):
        if all(names) and len(set(names)) == len(jobs):
            return names
    return [job.id for job in jobs]


def _runner(context: Context, asked: JobRequest, part: int, job: JobInfo) -> StoredRunner:
    """Return a runner that has what the new job will have at its beginning."""
    theirs = context.maps.ledger(job)
    lengths = np.array(theirs.header.lengths, dtype=np.int64)
    copied = Ledger(theirs.header)
    if KINDS[asked.kind].reuses_baselines:
        copied.add([*theirs.records("random_policy"), *theirs.records("baseline")])
    return StoredRunner(part, job.study, Segments.of(lengths, job.study.masking), copied)


def _cost(
    asked: JobRequest,
    runners: Sequence[StoredRunner],
    maps: Mapping[str, ImportanceMap],
    repetitions: int | None,
) -> Cost:
    """Return what is to be retrained at most, after asking for it.

    Raises:
        ProblemError: When the maps do not allow what is asked.
    """
    lacking = {runner.part: set[TaskKey]() for runner in runners}
    try:
        question_about_maps(asked.kind, runners, maps, repetitions)()
    except MissingTasks as missing:
        for runner, tasks in missing.requests:
            lacking[runner.part] |= {task.key for task in tasks if runner.is_missing(task)}
    except MapError as error:
        code = "not-comparable" if len(maps) > 1 else "refused"
        raise _refused(str(error), code=code) from None
    except R2RiseError as error:
        raise _refused(str(error)) from None
    return cost_of(
        [
            (runner.study, len(lacking[runner.part]) + max_later_tasks(asked.kind, runner))
            for runner in runners
            if lacking[runner.part]
        ]
    )


def _check_size(asked: JobRequest, cost: Cost, settings: Settings) -> None:
    field = "based_on" if asked.repetitions is None else "repetitions"
    for name, amount, most in (
        ("retrainings", cost.retrainings, settings.max_retrainings),
        ("environment steps", cost.most_steps, settings.max_steps),
    ):
        if amount > most:
            raise _refused(f"expected at most {most} {name} in one job, got {amount}", field)


def _source(job: JobInfo, name: str, map_: ImportanceMap) -> Source:
    return Source(job.id, name, map_.to_json())


def _refused(detail: str, field: str = "based_on", code: str = "refused") -> ProblemError:
    part = ProblemPart(pointer=f"#/{field}", detail=detail, code=code)
    return ProblemError(422, code, sentence(detail), parts=[part])
