"""Results of jobs: `/certificate`, `/curation`, `/transfer`, `/curated.npz`, `/report`."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response

from r2rise_service.api.computed import NoResult
from r2rise_service.api.context import Context, Owner, RequestContext
from r2rise_service.api.importance import MEDIA_TYPES
from r2rise_service.api.jobs import etag_matches, require_job
from r2rise_service.api.problems import RETRY_SECONDS, ProblemError, problems
from r2rise_service.kinds import CURATE, KINDS, REPORT, JobKindSpec
from r2rise_service.models import JobInfo

router = APIRouter(tags=["results"])
IfNoneMatch = Annotated[str | None, Header()]


def _responses(*endings: str) -> dict[int | str, dict[str, Any]]:
    content: dict[str, Any] = {MEDIA_TYPES[ending]: {} for ending in endings}
    return {
        200: {"description": "The result of the job.", "content": content},
        304: {"description": "The result has not changed."},
        **problems(409),
    }


@router.get("/jobs/{job_id}/curated.npz", response_class=Response, responses=_responses(".npz"))
def curated(
    job_id: str, context: RequestContext, owner: Owner, if_none_match: IfNoneMatch = None
) -> Response:
    """Return the demonstrations without the segments that hurt, if a gain was confirmed."""
    job = _require_ended_job(context, owner, job_id, CURATE, CURATE.file_name(".npz"))
    etag = f'W/"{job.version}-curated"'
    return _respond(etag, if_none_match, ".npz", lambda: context.outcomes.curated_file(job))


@router.get("/jobs/{job_id}/report", response_class=Response, responses=_responses(".html"))
def report(
    job_id: str, context: RequestContext, owner: Owner, if_none_match: IfNoneMatch = None
) -> Response:
    """Return all related results on one HTML page, which needs no other file.

    Of a map: with the newest results that are based on it. Of another job: its result and the map
    that it is based on.
    """
    job = _require_ended_job(context, owner, job_id, None, REPORT)
    reported_jobs = context.outcomes.jobs_in_report(job)
    tags = (f"{reported_job.id}.{reported_job.version}" for reported_job in reported_jobs)
    etag = f'W/"{"-".join([str(job.version), "report", *tags])}"'
    return _respond(
        etag, if_none_match, ".html", lambda: context.outcomes.report(job, reported_jobs)
    )


def _add_routes(kind: JobKindSpec) -> None:
    """Add the routes of the result of a kind of job."""
    name, endings = kind.route, kind.result_endings

    def result(
        job_id: str, context: RequestContext, owner: Owner, if_none_match: IfNoneMatch = None
    ) -> Response:
        return _result_response(
            context, _require_ended_job(context, owner, job_id, kind, name), ".json", if_none_match
        )

    def file(
        job_id: str,
        ending: str,
        context: RequestContext,
        owner: Owner,
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        if ending not in endings:
            detail = f"A {name} is available as {', '.join(endings)}, not as {ending!r}."
            raise ProblemError(404, "not-found", detail)
        return _result_response(
            context, _require_ended_job(context, owner, job_id, kind, name), ending, if_none_match
        )

    result.__doc__ = f"Return the {name}: `r2rise.{name}` is its JSON schema."
    file.__doc__ = f"Return the {name} in the format of the ending: .json, .png or .svg."
    for path, function, formats in (
        (name, result, (".json",)), (name + "{ending}", file, endings),
    ):  # fmt: skip
        router.add_api_route(
            f"/jobs/{{job_id}}/{path}",
            function,
            name=f"{name} {function.__name__}",
            response_class=Response,
            responses=_responses(*formats),
        )


for _kind in KINDS.values():
    if _kind.is_based_on_maps:
        _add_routes(_kind)


def _result_response(
    context: Context, job: JobInfo, ending: str, if_none_match: str | None
) -> Response:
    etag = f'W/"{job.version}-{ending[1:]}"'
    return _respond(etag, if_none_match, ending, lambda: context.outcomes.as_file(job, ending))


def _require_ended_job(
    context: Context, owner: str, job_id: str, kind: JobKindSpec | None, name: str
) -> JobInfo:
    """Return one of the owner's ended jobs.

    Args:
        context: The parts of the service.
        owner: Owner of the job.
        job_id: Id of the job.
        kind: The kind it has to be of; None for any.
        name: Name of the result, for error texts.

    Raises:
        ProblemError: When the job is of another kind, is live, or has no result.
    """
    job = require_job(context, owner, job_id)
    if kind is not None and job.kind != kind.name:
        available = ", ".join(KINDS[job.kind].resource_names)
        detail = f"Job {job_id} is of the kind {job.kind}: it has no {name}, but {available}."
        raise ProblemError(404, "no-such-result", detail)
    if job.is_live:
        detail = f"Job {job_id} is {job.status}: ask again when it has ended."
        raise ProblemError(409, "not-ready", detail, headers={"Retry-After": RETRY_SECONDS})
    if job.status != "succeeded" and KINDS[job.kind].is_based_on_maps:
        detail = f"Job {job_id} is {job.status}, so it has no result: retry it."
        raise ProblemError(404, "no-such-result", detail)
    return job


def _respond(
    etag: str, if_none_match: str | None, ending: str, compute: Callable[[], bytes]
) -> Response:
    headers = {"ETag": etag}
    if etag_matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    try:
        return Response(compute(), headers=headers, media_type=MEDIA_TYPES[ending])
    except NoResult as error:
        raise ProblemError(404, "no-such-result", str(error)) from None
