"""`/jobs`: asked for, found, changed, stopped and tried again."""

import json
from functools import partial
from typing import Annotated, Any, NoReturn

from fastapi import APIRouter, Header, Query, Response

from r2rise.study.hashing import json_hash
from r2rise_service.api.accept import accept, check_fields
from r2rise_service.api.access import PREFIX
from r2rise_service.api.context import JSON_ONLY, Context, InContext, Owner
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
        200: {"model": DryRun, "description": "What the job would be (dry_run)."},
        **problems(400, 409, 429),
    },
    dependencies=JSON_ONLY,
)
def create(
    asked: JobRequest,
    response: Response,
    context: InContext,
    owner: Owner,
    dry_run: bool = False,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Ask for a job. With `dry_run`, say what it would be: nothing is stored or retrained."""
    check_fields(asked)
    check_json(asked.study or {})
    once = (idempotency_key, json_hash(asked.model_dump(mode="json"))) if idempotency_key else None
    earlier = context.store.jobs.find_idempotent(owner, once) if once and not dry_run else None
    if earlier is not None:
        return respond_with(earlier, response)
    new, cost, check = accept(context, owner, asked)
    if dry_run:
        study = new.study
        dry = DryRun(
            study=study,
            study_hash=study.study_hash,
            warnings=new.warnings,
            cost=cost,
            training_check=check,
        )
        return Response(dry.model_dump_json(), media_type="application/json")
    most = context.settings.max_live_jobs
    job, is_new = context.store.jobs.add(new, idempotency=once, max_live=most)
    if is_new:
        context.reconciler.wake()
    return respond_with(job, response)


@router.get("/jobs", response_model=JobPage)
async def jobs(
    context: InContext,
    owner: Owner,
    status: JobStatus | None = None,
    dataset_id: str | None = None,
    label: Annotated[str | None, Query(description="name=value")] = None,
    page_size: Annotated[int, Query(ge=1, le=500)] = 50,
    page_token: str | None = None,
) -> Response:
    """List your jobs, newest first."""
    try:
        asked = partial(
            context.store.jobs.page,
            owner,
            status=status,
            dataset_id=dataset_id,
            label=_label(label),
            page_size=page_size,
            page_token=page_token,
        )
        page = await context.quickly(asked)
    except ValueError as error:
        raise ProblemError(422, "bad-page-token", str(error)) from None
    own = b",".join(_json(context, one) for one in page.data)
    following = json.dumps(page.next_page_token).encode()
    content = b'{"data":[%b],"next_page_token":%b}' % (own, following)
    return Response(content, media_type="application/json")


@router.get(
    "/jobs/{job_id}",
    response_model=JobInfo,
    responses={304: {"description": "The job is at the version you have."}},
)
async def job(
    job_id: str,
    response: Response,
    context: InContext,
    owner: Owner,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Return a job; its ETag is its version."""
    found = await context.quickly(partial(known_job, context, owner, job_id))
    if matches(if_none_match, _etag(found)):
        return Response(status_code=304, headers={"ETag": _etag(found)})
    _add_headers(found, response)
    content = _json(context, found)
    return Response(content, headers=response.headers, media_type="application/json")


@router.patch("/jobs/{job_id}", dependencies=JSON_ONLY, responses=problems(400, 409, 412))
def change(
    job_id: str,
    asked: JobChange,
    response: Response,
    context: InContext,
    owner: Owner,
    if_match: IfMatch = None,
) -> JobInfo:
    """Change name, labels or priority; with If-Match only what you have seen."""
    found = known_job(context, owner, job_id)
    unchanged = if_match is None or matches(if_match, _etag(found))
    version = found.version if if_match not in (None, "*") else None
    try:
        if not unchanged:
            raise StoreConflict(f"The job is at version {found.version}, not at {if_match}.")
        changes = asked.model_dump(exclude_none=True)
        changed = context.store.jobs.change(owner, job_id, changes, version=version)
    except StoreConflict as error:
        raise ProblemError(412, "precondition-failed", f"{error} Get it again.") from None
    context.reconciler.wake()
    return respond_with(changed or _unknown(job_id), response)


@router.delete("/jobs/{job_id}", status_code=204, responses=problems(409))
def remove(job_id: str, context: InContext, owner: Owner) -> None:
    """Remove an ended job with its retrainings."""
    found = known_job(context, owner, job_id)
    if not context.store.jobs.remove(owner, job_id):
        _unknown(job_id)
    context.store.remove_unused(context.files, found.study.demonstrations or "")


@router.post(
    "/jobs/{job_id}/cancel",
    status_code=202,
    responses={
        200: {"model": JobInfo, "description": "It had ended already."},
        **problems(409),
    },
)
def cancel(job_id: str, response: Response, context: InContext, owner: Owner) -> JobInfo:
    """Stop a job; what was retrained is kept. 200 when it has ended already."""
    known_job(context, owner, job_id)
    context.store.jobs.set_status(
        job_id, "canceling", only_from=("queued", "running"), reason="Its owner canceled it."
    )
    found = known_job(context, owner, job_id)
    if found.is_live:
        context.reconciler.cancel(job_id)
    else:
        response.status_code = 200
    return respond_with(found, response)


@router.post("/jobs/{job_id}/retry", status_code=202, responses=problems(409, 429))
def retry(job_id: str, response: Response, context: InContext, owner: Owner) -> JobInfo:
    """Do what an ended job lacks: retrainings that failed or were never done."""
    most = context.settings.max_live_jobs
    found = context.store.jobs.retry(owner, job_id, max_live=most) or _unknown(job_id)
    context.reconciler.wake()
    return respond_with(found, response)


def known_job(context: Context, owner: str, job_id: str) -> JobInfo:
    """Return one of the owner's jobs.

    Raises:
        ProblemError: When there is none of this id.
    """
    return context.store.jobs.get(owner, job_id) or _unknown(job_id)


def respond_with(job: JobInfo, response: Response) -> JobInfo:
    """Return a job as it is answered, with the headers that belong to it."""
    _add_headers(job, response)
    return with_links(job)


def _add_headers(job: JobInfo, response: Response) -> None:
    response.headers["ETag"] = _etag(job)
    response.headers["Location"] = f"{PREFIX}/jobs/{job.id}"
    if job.is_live:
        response.headers["Retry-After"] = RETRY_SECONDS


def with_links(job: JobInfo) -> JobInfo:
    """Return a job that says where its parts are."""
    own = f"{PREFIX}/jobs/{job.id}"
    names = ("events", "retrainings", *KINDS[job.kind].resource_names)
    links = {name: f"{own}/{name}" for name in names}
    links |= {"self": own, "dataset": f"{PREFIX}/datasets/{job.dataset_id}"}
    return job.model_copy(update={"links": links})


def matches(header: str | None, etag: str) -> bool:
    """Whether If-Match or If-None-Match names an ETag, weak or not."""
    tags = [tag.strip().removeprefix("W/") for tag in (header or "").split(",")]
    return "*" in tags or etag.removeprefix("W/") in tags


def _json(context: Context, job: JobInfo) -> bytes:
    """Return a job as it is sent; that of an ended one is made once for each version."""

    def made() -> bytes:
        return with_links(job).model_dump_json().encode()

    if job.is_live:  # its rate changes with time
        return made()
    return context.ended.get((job.id, job.version), made)


def _label(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    name, separator, value = text.partition("=")
    if not separator:
        raise ProblemError(422, "invalid", f"Expected label=name=value, got label={text!r}.")
    return name, value


def _etag(job: JobInfo) -> str:
    return f'"{job.version}"'


def _unknown(job_id: str) -> NoReturn:
    raise ProblemError(404, "not-found", f"You have no job {job_id!r}.")
