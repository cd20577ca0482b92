"""`/jobs/{id}/importance` and `/jobs/{id}/retrainings`: maps and ledgers of jobs."""

import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response

from r2rise.design.seeds import Kind
from r2rise.ledger.ledger import Ledger
from r2rise.study.choices import EstimatorName
from r2rise_service.api.computed import map_version
from r2rise_service.api.context import Context, Owner, RequestContext
from r2rise_service.api.jobs import etag_matches, require_job
from r2rise_service.api.problems import ProblemError, problems
from r2rise_service.kinds import EXPLAIN
from r2rise_service.models import JobInfo
from r2rise_service.records import Retraining, RetrainingPage

router = APIRouter(tags=["results"])

MEDIA_TYPES = {
    ".json": "application/json",
    ".csv": "text/csv",
    ".npz": "application/x-npz",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".html": "text/html; charset=utf-8",
}
_FORMATS = {ending: MEDIA_TYPES[ending] for ending in EXPLAIN.result_endings}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The map; `r2rise.importance_map` is its JSON schema.",
        "content": {media_type: {} for media_type in _FORMATS.values()},
    },
    304: {"description": "The map has not changed."},
    **problems(409),
}
IfNoneMatch = Annotated[str | None, Header()]


@router.get(
    "/jobs/{job_id}/importance", response_class=Response, responses={**_RESPONSES, **problems(406)}
)
def importance(
    request: Request,
    job_id: str,
    context: RequestContext,
    owner: Owner,
    estimator: EstimatorName | None = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Return the importance map, also while the job runs (`partial`); Accept selects the format."""
    ending = negotiate_ending(request.headers.get("accept", "*/*"))
    job = require_job(context, owner, job_id)
    return _map_response(context, job, estimator, ending, if_none_match)


@router.get("/jobs/{job_id}/importance{ending}", response_class=Response, responses=_RESPONSES)
def importance_file(
    job_id: str,
    ending: str,
    context: RequestContext,
    owner: Owner,
    estimator: EstimatorName | None = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Return the importance map in the format of the ending: .json .csv .npz .png or .svg."""
    if ending not in _FORMATS:
        detail = f"A map is available as {', '.join(_FORMATS)}, not as {ending!r}."
        raise ProblemError(404, "not-found", detail)
    job = require_job(context, owner, job_id)
    return _map_response(context, job, estimator, ending, if_none_match)


@router.get(
    "/jobs/{job_id}/retrainings",
    response_model=RetrainingPage,
    responses={200: {"content": {MEDIA_TYPES[".npz"]: {}}}, **problems(409)},
)
def retrainings(
    job_id: str,
    context: RequestContext,
    owner: Owner,
    kind: Kind = "design",
    page_size: Annotated[int, Query(ge=1, le=500)] = 50,
    page_token: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    part: Annotated[int, Query(ge=0, lt=1000, description="Learner of a transfer.")] = 0,
    format: Literal["json", "npz"] = "json",  # noqa: A002
) -> Any:
    """Return the ledger: a page of records by index, or the whole file (`format=npz`)."""
    job = require_job(context, owner, job_id)
    n_parts = max(len(job.based_on), 1)
    if part >= n_parts:
        raise ProblemError(404, "not-found", f"Job {job_id} has {n_parts} parts, counted from 0.")
    ledger = context.maps.ledger(job, part)
    if format == "npz":
        return Response(_ledger_file(ledger), media_type=MEDIA_TYPES[".npz"])
    remaining = [record for record in ledger.records(kind) if record.index >= page_token]
    page = remaining[:page_size]
    rest = remaining[page_size:]
    # The page token is an index, so that all records of one index have to be on one page.
    while rest and rest[0].index == page[-1].index:
        page.append(rest.pop(0))
    return RetrainingPage(
        data=tuple(Retraining.model_validate(record.to_json()) for record in page),
        next_page_token=str(rest[0].index) if rest else None,
    )


def negotiate_ending(header: str) -> str:
    """Return the ending of the format that an Accept header prefers.

    Raises:
        ProblemError: When it accepts none of them.
    """
    weights = {
        ending: _accept_weight(header, media_type) for ending, media_type in _FORMATS.items()
    }
    # Of equal weights, `max` returns the first format.
    best_ending = max(weights, key=lambda ending: weights[ending])
    if weights[best_ending] <= 0:
        detail = f"A map is available as {', '.join(_FORMATS.values())}, but Accept is {header!r}."
        raise ProblemError(406, "not-acceptable", detail)
    return best_ending


def _accept_weight(header: str, media_type: str) -> float:
    """Return the weight of a media type in an Accept header, by the most specific range."""
    ranges = {media_type: 2, f"{media_type.partition('/')[0]}/*": 1, "*/*": 0}
    best = -1, 0.0
    for part in header.split(","):
        name, *parameters = (item.strip().lower() for item in part.split(";"))
        if name in ranges:
            best = max(best, (ranges[name], _q_value(parameters)))
    return best[1]


def _q_value(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def _map_response(
    context: Context,
    job: JobInfo,
    estimator: EstimatorName | None,
    ending: str,
    if_none_match: str | None,
) -> Response:
    if job.kind != EXPLAIN.name:
        detail = f"Job {job.id} has no map of its own: see the jobs that it is based on."
        raise ProblemError(404, "no-such-result", detail)
    name = estimator or job.study.estimator
    etag = f'W/"{map_version(job)}-{name}-{ending[1:]}"'
    headers = {"ETag": etag, "Vary": "Accept, Accept-Encoding"}
    if etag_matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    content = context.maps.as_file(job, estimator, ending)
    return Response(content, headers=headers, media_type=MEDIA_TYPES[ending])


def _ledger_file(ledger: Ledger) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.npz"
        ledger.save(path)
        return path.read_bytes()
