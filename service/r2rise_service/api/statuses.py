"""Which problems each route can answer, said in one place for OpenAPI."""

from http import HTTPStatus
from typing import Any

_PROBLEM = {
    "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
}
_OF_ROUTES: dict[tuple[str, str], tuple[int, ...]] = {
    ("post", "/datasets"): (400, 422),
    ("delete", "/datasets/{dataset_id}"): (409,),
    ("post", "/jobs"): (400, 409, 429),
    ("patch", "/jobs/{job_id}"): (400, 409, 412),
    ("delete", "/jobs/{job_id}"): (409,),
    ("post", "/jobs/{job_id}/cancel"): (409,),
    ("post", "/jobs/{job_id}/retry"): (409, 429),
    ("get", "/jobs/{job_id}/importance"): (406, 409),
    ("get", "/jobs/{job_id}/importance{ending}"): (409,),
    ("get", "/jobs/{job_id}/retrainings"): (409,),
    ("post", "/comparisons"): (400, 404, 409),
    ("post", "/keys"): (400,),
    ("get", "/readyz"): (503,),
}
_RESULTS = ("certificate", "curation", "transfer", "curated.npz", "report")


def describe_problems(schema: dict[str, Any], prefix: str) -> None:
    """Put into OpenAPI, for each route, exactly the problems that it can answer.

    Args:
        schema: OpenAPI, with `security` filled in; changed in place.
        prefix: What all paths begin with.
    """
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            answers = operation["responses"]
            answers.pop("default", None)
            for status in _statuses(method, path.removeprefix(prefix), operation):
                phrase = HTTPStatus(status).phrase
                answers[str(status)] = {"description": phrase, "content": _PROBLEM}


def _statuses(method: str, path: str, operation: dict[str, Any]) -> list[int]:
    """Return what can go wrong, by what the route takes and needs."""
    found = {413, 421, 500, *_OF_ROUTES.get((method, path), ())}
    if operation["security"]:
        found |= {401, 403}
    if method not in ("get", "head"):
        found |= {403}
    if "{" in path:
        found |= {404}
    if "requestBody" in operation:
        found |= {415, 422}
    if operation.get("parameters"):
        found |= {422}
    if any(f"/{name}" in path for name in _RESULTS):
        found |= {409}
    return sorted(found)
