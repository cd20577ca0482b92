"""`/jobs`: request, find, change, cancel, retry and remove jobs."""

import json
from functools import partial
from typing import Annotated, Any, NoReturn

from fastapi import APIRouter, Header, Query, Response

from r2rise.study.hashing import json_hash
from r2rise_service.api.accept import accept, check_fields
from r2rise_service.api.access import PREFIX
from r2rise_service.api.context import JSON_ONLY, Context, Owner, RequestContext
from r2rise_service.api.problems import RETRY_SECONDS, ProblemError, problems
from r2rise_service.api.studies import check_json
from r2rise_service.kinds import KINDS
from r2rise_service.models import (
    DryRun,
    JobChange,
    JobInfo,
    JobPage,
    JobRequest,
    JobStatus,
)
from r2rise_service.storage import StoreConflict

router = APIRouter(tags=["jobs"])
IfMatch = Annotated[str | None, Header()]
IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=200)]


@router.post(
    "/jobs",
    status_code=202,
    response_model=JobInfo,
    responses={
        200: {"model": DryRun, "description": "The job that would be created (dry_run)."},
        **problems(400, 409, 429),
    },
    dependencies=JSON_ONLY,
)
def create(
    request: JobRequest,
    response: Response,
    context: RequestContext,
    owner: Owner,
    dry_run: bool = False,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Create a job. With `dry_run`, return what it would be; nothing is stored or retrained."""
    check_fields(request)
    check_json(request.study or {})
    idempotency = (
        (idempotency_key, json_hash(request.model_dump(mode="json"))) if idempotency_key else None
    )
    earlier_job = (
        context.store.jobs.find_idempotent(owner, idempotency)
        if idempotency and not dry_run
        else None
    )
    if earlier_job is not None:
        return respond_with(earlier_job, response)
    new_job, cost, training_check = accept(context, owner, request)
    if dry_run:
        study = new_job.study
        dry_run_info = DryRun(
            study=study,
            study_hash=study.study_hash,
            warnings=new_job.warnings,
            cost=cost,
            training_check=training_check,
        )
        return Response(dry_run_info.model_dump_json(), media_type="application/json")
    max_live = context.settings.max_live_jobs
    job, is_new = context.store.jobs.add(new_job, idempotency=idempotency, max_live=max_live)
    if is_new:
        context.reconciler.wake()
    return respond_with(job, response)


@router.get("/jobs", response_model=JobPage)
async def jobs(
    context: RequestContext,
    owner: Owner,
    status: JobStatus | None = None,
    dataset_id: str | None = None,
    label: Annotated[str | None, Query(description="name=value")] = None,
    page_size: Annotated[int, Query(ge=1, le=500)] = 50,
    page_token: str | None = None,
) -> Response:
    """List your jobs, newest first."""
    try:
        query = partial(
            context.store.jobs.page,
            owner,
            status=status,
            dataset_id=dataset_id,
            label=_parse_label(label),
            page_size=page_size,
            page_token=page_token,
        )
        page = await context.run_quick(query)
    except ValueError as error:
        raise ProblemError(422, "bad-page-token", str(error)) from None
    items = b",".join(_job_json(context, info) for info in page.data)
    next_token = json.dumps(page.next_page_token).encode()
    content = b'{"data":[%b],"next_page_token":%b}' % (items, next_token)
    return Response(content, media_type="application/json")


@router.get(
    "/jobs/{job_id}",
    response_model=JobInfo,
    responses={304: {"description": "The job has not changed."}},
)
async def job(
    job_id: str,
    response: Response,
    context: RequestContext,
    owner: Owner,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Return a job; its ETag is its version."""
    info = await context.run_quick(partial(require_job, context, owner, job_id))
    if etag_matches(if_none_match, _etag(info)):
        return Response(status_code=304, headers={"ETag": _etag(info)})
    _add_headers(info, response)
    content = _job_json(context, info)
    return Response(content, headers=response.headers, media_type="application/json")


@router.patch("/jobs/{job_id}", dependencies=JSON_ONLY, responses=problems(400, 409, 412))
def change(
    job_id: str,
    request: JobChange,
    response: Response,
    context: RequestContext,
    owner: Owner,
    if_match: IfMatch = None,
) -> JobInfo:
    """Change name, labels or priority; with If-Match, only if the job has not changed."""
    info = require_job(context, owner, job_id)
    is_expected_version = if_match is None or etag_matches(if_match, _etag(info))
    version = info.version if if_match not in (None, "*") else None
    try:
        if not is_expected_version:
            raise StoreConflict(f"The job is at version {info.version}, not at {if_match}.")
        changes = request.model_dump(exclude_none=True)
        updated_job = context.store.jobs.change(owner, job_id, changes, version=version)
    except StoreConflict as error:
        raise ProblemError(412, "precondition-failed", f"{error} Get it again.") from None
    context.reconciler.wake()
    return respond_with(updated_job or _raise_not_found(job_id), response)


@router.delete("/jobs/{job_id}", status_code=204, responses=problems(409))
def remove(job_id: str, context: RequestContext, owner: Owner) -> None:
    """Delete an ended job and its retrainings."""
    info = require_job(context, owner, job_id)
    if not context.store.jobs.remove(owner, job_id):
        _raise_not_found(job_id)
    context.store.remove_unused(context.files, info.study.demonstrations or "")


@router.post(
    "/jobs/{job_id}/cancel",
    status_code=202,
    responses={
        200: {"model": JobInfo, "description": "The job had already ended."},
        **problems(409),
    },
)
def cancel(job_id: str, response: Response, context: RequestContext, owner: Owner) -> JobInfo:
    """Cancel a job; completed retrainings are kept. 200 if it has already ended."""
    require_job(context, owner, job_id)
    context.store.jobs.set_status(
        job_id, "canceling", only_from=("queued", "running"), reason="Its owner canceled it."
    )
    info = require_job(context, owner, job_id)
    if info.is_live:
        context.reconciler.cancel(job_id)
    else:
        response.status_code = 200
    return respond_with(info, response)


@router.post("/jobs/{job_id}/retry", status_code=202, responses=problems(409, 429))
def retry(job_id: str, response: Response, context: RequestContext, owner: Owner) -> JobInfo:
    """Retry an ended job: do the retrainings that failed or are missing."""
    max_live = context.settings.max_live_jobs
    info = context.store.jobs.retry(owner, job_id, max_live=max_live) or _raise_not_found(job_id)
    context.reconciler.wake()
    return respond_with(info, response)


def require_job(context: Context, owner: str, job_id: str) -> JobInfo:
    """Return one of the owner's jobs.

    Raises:
        ProblemError: When the owner has no job with this id.
    """
    return context.store.jobs.get(owner, job_id) or _raise_not_found(job_id)


def respond_with(job: JobInfo, response: Response) -> JobInfo:
    """Set the headers of a response about a job, and return the job with its links."""
    _add_headers(job, response)
    return with_links(job)


def _add_headers(job: JobInfo, response: Response) -> None:
    response.headers["ETag"] = _etag(job)
    response.headers["Location"] = f"{PREFIX}/jobs/{job.id}"
    if job.is_live:
        response.headers["Retry-After"] = RETRY_SECONDS


def with_links(job: JobInfo) -> JobInfo:
    """Return a job with the paths of its parts."""
    url = f"{PREFIX}/jobs/{job.id}"
    names = ("events", "retrainings", *KINDS[job.kind].resource_names)
    links = {name: f"{url}/{name}" for name in names}
    links |= {"self": url, "dataset": f"{PREFIX}/datasets/{job.dataset_id}"}
    return job.model_copy(update={"links": links})


def etag_matches(header: str | None, etag: str) -> bool:
    """Return whether If-Match or If-None-Match contains an ETag, weak or not."""
    tags = [tag.strip().removeprefix("W/") for tag in (header or "").split(",")]
    return "*" in tags or etag.removeprefix("W/") in tags


def _job_json(context: Context, job: JobInfo) -> bytes:
    """Return a job as JSON; that of an ended job is cached by its version."""

    def encode() -> bytes:
        return with_links(job).model_dump_json().encode()

    if job.is_live:  # the rate in its progress changes with time
        return encode()
    return context.ended_jobs.get((job.id, job.version), encode)


def _parse_label(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    name, separator, value = text.partition("=")
    if not separator:
        raise ProblemError(422, "invalid", f"Expected label=name=value, got label={text!r}.")
    return name, value


def _etag(job: JobInfo) -> str:
    return f'"{job.version}"'


def _raise_not_found(job_id: str) -> NoReturn:
    raise ProblemError(404, "not-found", f"You have no job {job_id!r}.")
