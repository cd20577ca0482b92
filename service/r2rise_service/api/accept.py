"""Turns the request for a job into a job that this server accepts, and computes its cost."""

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
from r2rise_service.api.problems import ProblemError, as_sentence
from r2rise_service.api.studies import (
    AcceptedJob,
    check_study,
    cost_of,
    n_retrainings,
    parse_study,
    resolve_within_limits,
    study_problem,
)
from r2rise_service.kinds import EXPLAIN, KINDS
from r2rise_service.models import Cost, JobInfo, JobRequest, ProblemPart
from r2rise_service.queue.questions import max_later_tasks, question_about_maps
from r2rise_service.queue.stored import MissingTasks, StoredRunner
from r2rise_service.settings import Settings
from r2rise_service.storage import NewJob, Source

_FieldError = tuple[str, str, str]
"""Name of a field, what is wrong with it, and an error code for programs."""


def accept(context: Context, owner: str, request: JobRequest) -> AcceptedJob:
    """Return the new job for a request that passed `check_fields`.

    Raises:
        ProblemError: When the job cannot be run, or exceeds the limits of this server for one job.
        InputError: When study and demonstrations do not fit.
    """
    if KINDS[request.kind].is_based_on_maps:
        return _accept_based_on_maps(context, owner, request)
    study = parse_study(request.study or {})
    check_study(study, context.settings)
    datasets = context.store.datasets.find(owner, sha256=study.demonstrations)
    if not datasets:
        raise study_problem(
            ["demonstrations"],
            f"you have no dataset {study.demonstrations!r}: upload it first (POST /datasets)",
        )
    path = context.files.path(datasets[0].sha256)
    resolved = resolve_within_limits(study, path, context.settings)
    n_frames = datasets[0].n_frames
    total = n_retrainings(resolved.study, n_frames)
    new_job = NewJob(
        owner=owner,
        kind=EXPLAIN.name,
        dataset_id=datasets[0].id,
        study=resolved.study,
        total=total,
        warnings=resolved.notices,
        name=request.name,
        labels=request.labels,
        priority=request.priority,
    )
    is_amount_open = leaves_amount_open(resolved.study.algorithm)
    training_check = price_words(resolved.study, n_frames) if is_amount_open else None
    return AcceptedJob(new_job, cost_of([(resolved.study, total)]), training_check)


def check_fields(request: JobRequest) -> None:
    """Check that a request has the fields of its kind of job, and no others.

    Raises:
        ProblemError: When a field is wrong; it has a pointer to each wrong field.
    """
    is_based = KINDS[request.kind].is_based_on_maps
    errors = _basis_errors(request) if is_based else _study_errors(request)
    if errors:
        details = "; ".join(f"{name}: {detail}" for name, detail, _ in errors)
        text = f"This request for a job of the kind {request.kind} cannot be used. {details}."
        parts = [
            ProblemPart(pointer=f"#/{name}", detail=detail, code=code)
            for name, detail, code in errors
        ]
        raise ProblemError(422, "invalid", text, parts=parts)


def _study_errors(request: JobRequest) -> list[_FieldError]:
    errors: list[_FieldError] = []
    if request.study is None:
        errors.append(("study", "Expected the fields of a study", "missing"))
    for name in ("based_on", "repetitions"):
        if name in request.model_fields_set and getattr(request, name) not in ((), None):
            detail = f"A job of the kind {request.kind} takes a study instead"
            errors.append((name, detail, "extra_forbidden"))
    return errors


def _basis_errors(request: JobRequest) -> list[_FieldError]:
    errors: list[_FieldError] = []
    n, kind = len(request.based_on), KINDS[request.kind]
    if request.study is not None:
        detail = f"A job of the kind {kind.name} takes the study of the job that it is based on"
        errors.append(("study", detail, "extra_forbidden"))
    minimum, maximum = kind.min_bases, kind.max_bases
    if not minimum <= n <= maximum:
        count = f"{minimum}" if minimum == maximum else f"{minimum} to {maximum}"
        detail = f"Expected {count} ids of jobs of the kind {EXPLAIN.name}, got {n}"
        errors.append(("based_on", detail, "missing" if n == 0 else "wrong_number"))
    elif len(set(request.based_on)) < n:
        errors.append(("based_on", "Expected each job only once", "twice"))
    if kind.repetitions is None and request.repetitions is not None:
        errors.append(
            (
                "repetitions",
                f"A job of the kind {kind.name} chooses the number itself",
                "extra_forbidden",
            )
        )
    return errors


def _accept_based_on_maps(context: Context, owner: str, request: JobRequest) -> AcceptedJob:
    """Return the new job for a request that is based on maps.

    Raises:
        ProblemError: When the job cannot be run, or exceeds the limits of this server for one job.
    """
    jobs = [get_explain_job(context, owner, job_id) for job_id in request.based_on]
    for job in jobs:
        _check_succeeded(job)
        check_study(job.study, context.settings)  # the operator's rules may have changed
    repetitions = request.repetitions or KINDS[request.kind].repetitions
    try:
        maps = dict(zip(_map_names(jobs), (context.maps.map(job) for job in jobs), strict=True))
    except R2RiseError as error:
        raise _field_problem(str(error)) from None
    runners = [_initial_runner(context, request, part, job) for part, job in enumerate(jobs)]
    cost = _estimate_cost(request, runners, maps, repetitions)
    _check_size(request, cost, context.settings)
    new_job = NewJob(
        owner=owner,
        kind=request.kind,
        dataset_id=jobs[0].dataset_id,
        study=jobs[0].study,
        total=sum(len(runner.requested) for runner in runners),
        name=request.name,
        labels=request.labels,
        priority=request.priority,
        sources=tuple(map(_source, jobs, maps, maps.values())),
        repetitions=repetitions,
    )
    return AcceptedJob(new_job, cost)


def get_explain_job(context: Context, owner: str, job_id: str, field: str = "based_on") -> JobInfo:
    """Return one of the owner's jobs of the kind `explain`.

    Raises:
        ProblemError: When the owner has no job with this id, or it is of another kind.
    """
    job = context.store.jobs.get(owner, job_id)
    if job is None:
        raise _field_problem(f"you have no job {job_id!r}: `r2rise jobs list` lists them", field)
    if job.kind != EXPLAIN.name:
        detail = f"expected a job of the kind {EXPLAIN.name}, but {job_id} is of {job.kind}"
        raise _field_problem(detail, field)
    return job


def _check_succeeded(job: JobInfo) -> None:
    if job.status != "succeeded":
        detail = f"Job {job.id} is {job.status}: its map can be used once it has succeeded."
        raise ProblemError(409, "not-finished", detail)


def _map_names(jobs: Sequence[JobInfo]) -> list[str]:
    """Name maps by job name, else by algorithm, else by job id: the first that is unambiguous."""
    for names in ([job.name for job in jobs], [job.study.algorithm.name for job in jobs]):
        if all(names) and len(set(names)) == len(jobs):
            return names
    return [job.id for job in jobs]


def _initial_runner(context: Context, request: JobRequest, part: int, job: JobInfo) -> StoredRunner:
    """Return a runner with the records that the new job will start with."""
    source_ledger = context.maps.ledger(job)
    lengths = np.array(source_ledger.header.lengths, dtype=np.int64)
    ledger = Ledger(source_ledger.header)
    if KINDS[request.kind].reuses_baselines:
        ledger.add([*source_ledger.records("random_policy"), *source_ledger.records("baseline")])
    return StoredRunner(part, job.study, Segments.of(lengths, job.study.masking), ledger)


def _estimate_cost(
    request: JobRequest,
    runners: Sequence[StoredRunner],
    maps: Mapping[str, ImportanceMap],
    repetitions: int | None,
) -> Cost:
    """Ask the question about stored records, and return the maximum cost of what they lack.

    Raises:
        ProblemError: When the maps do not allow this question.
    """
    missing_keys = {runner.part: set[TaskKey]() for runner in runners}
    try:
        question_about_maps(request.kind, runners, maps, repetitions)()
    except MissingTasks as missing:
        for runner, tasks in missing.requests:
            missing_keys[runner.part] |= {task.key for task in tasks if runner.is_missing(task)}
    except MapError as error:
        code = "not-comparable" if len(maps) > 1 else "refused"
        raise _field_problem(str(error), code=code) from None
    except R2RiseError as error:
        raise _field_problem(str(error)) from None
    return cost_of(
        [
            (runner.study, len(missing_keys[runner.part]) + max_later_tasks(request.kind, runner))
            for runner in runners
            if missing_keys[runner.part]
        ]
    )


def _check_size(request: JobRequest, cost: Cost, settings: Settings) -> None:
    field = "based_on" if request.repetitions is None else "repetitions"
    for name, amount, limit in (
        ("retrainings", cost.retrainings, settings.max_retrainings),
        ("environment steps", cost.most_steps, settings.max_steps),
    ):
        if amount > limit:
            raise _field_problem(f"expected at most {limit} {name} in one job, got {amount}", field)


def _source(job: JobInfo, name: str, map_: ImportanceMap) -> Source:
    return Source(job.id, name, map_.to_json())


def _field_problem(detail: str, field: str = "based_on", code: str = "refused") -> ProblemError:
    part = ProblemPart(pointer=f"#/{field}", detail=detail, code=code)
    return ProblemError(422, code, as_sentence(detail), parts=[part])
