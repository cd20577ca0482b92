"""`/comparisons`: compare two maps without retraining."""

from fastapi import APIRouter, Response

from r2rise import compare
from r2rise.errors import MapError
from r2rise_service.api.accept import get_explain_job
from r2rise_service.api.access import PREFIX
from r2rise_service.api.context import JSON_ONLY, Owner, RequestContext
from r2rise_service.api.problems import RETRY_SECONDS, ProblemError, problems
from r2rise_service.models import ComparisonInfo, ComparisonRequest

router = APIRouter(tags=["comparisons"])


@router.post(
    "/comparisons", status_code=201, dependencies=JSON_ONLY, responses=problems(400, 404, 409)
)
def create(
    request: ComparisonRequest, response: Response, context: RequestContext, owner: Owner
) -> ComparisonInfo:
    """Compare the maps of two jobs of the kind `explain`."""
    jobs = [
        get_explain_job(context, owner, job_id, field)
        for field, job_id in (("a", request.a), ("b", request.b))
    ]
    for job in jobs:
        if job.is_live:
            detail = f"Job {job.id} is {job.status}: its map can be compared when it has ended."
            raise ProblemError(409, "not-ready", detail, headers={"Retry-After": RETRY_SECONDS})
    first, second = (context.maps.map(job) for job in jobs)
    try:
        result = compare(first, second)
    except MapError as error:
        raise ProblemError(422, "not-comparable", str(error)) from None
    info = context.store.comparisons.add(owner, request.a, request.b, result)
    response.headers["Location"] = f"{PREFIX}/comparisons/{info.id}"
    return info


@router.get("/comparisons/{comparison_id}")
def comparison(comparison_id: str, context: RequestContext, owner: Owner) -> ComparisonInfo:
    """Return a comparison, even if the jobs were deleted."""
    info = context.store.comparisons.get(owner, comparison_id)
    if info is None:
        raise ProblemError(404, "not-found", f"You have no comparison {comparison_id!r}.")
    return info
