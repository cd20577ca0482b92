"""Every error as RFC 9457 `application/problem+json`."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from r2rise.errors import InputError, MissingExtra, NotReady, R2RiseError
from r2rise_service.models import Problem, ProblemPart
from r2rise_service.storage import IdempotencyKeyReused, StoreConflict, TooManyLive
from r2rise_service.storage.files import TooLarge
from r2rise_service.storage.inspect_upload import BadUpload

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = "2"
"""When it is worth asking again about something that changes by itself."""

_WAITS = {"not-ready": RETRY_SECONDS, "too-many-jobs": "30"}

_CODES = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    409: "conflict",
    413: "too-large",
    422: "invalid",
    500: "internal",
}

_ANSWERS: dict[type[Exception], tuple[int, str]] = {
    TooLarge: (413, "too-large"),
    BadUpload: (422, "bad-demonstrations"),
    NotReady: (409, "not-ready"),
    IdempotencyKeyReused: (422, "idempotency-key-reused"),
    TooManyLive: (429, "too-many-jobs"),
    StoreConflict: (409, "conflict"),
    InputError: (422, "refused"),
    MissingExtra: (422, "not-installed"),
}


_DESCRIBED = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a route declares as `responses` for the problems that it alone can answer.

    What follows from what a route takes and needs, `describe_problems` adds.
    """
    return {
        status: {"description": HTTPStatus(status).phrase, "content": _DESCRIBED}
        for status in statuses
    }


ANY_PROBLEM: dict[int | str, dict[str, Any]] = {"default": {"description": "A problem"}}
"""Of all routes, so that FastAPI describes no problems of its own."""


class ProblemError(HTTPException):
    """A request that is answered with a problem.

    Attributes:
        code: What went wrong, in a word for programs.
        parts: Each thing that is wrong with the body.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        parts: Sequence[ProblemPart] = (),
    ) -> None:
        super().__init__(status, detail, headers)
        self.code, self.parts = code, tuple(parts)


def problem_response(error: ProblemError, instance: str, request_id: str) -> Response:
    """Return the answer that tells of a problem."""
    problem = Problem(
        type=f"urn:r2rise:problem:{error.code}",
        title=error.code.replace("-", " ").capitalize(),
        status=error.status_code,
        detail=_plain(error.detail),
        instance=_plain(instance),
        code=error.code,
        request_id=request_id,
        errors=error.parts,
    )
    return Response(
        problem.model_dump_json(), error.status_code, error.headers, media_type=MEDIA_TYPE
    )


def add_problems(app: FastAPI) -> None:
    """Answer every error that a request can meet with a problem."""
    for kind in (
        HTTPException, RequestValidationError, R2RiseError, StoreConflict, TooLarge, BadUpload,
    ):  # fmt: skip
        app.add_exception_handler(kind, _answer)


def describe_problems(schema: dict[str, Any]) -> None:
    """Put into OpenAPI, for each route, exactly the problems that it can answer.

    Args:
        schema: OpenAPI with what routes declare, and `security`; changed in place.
    """
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            answers = operation["responses"]
            answers.pop("default", None)
            for status, problem in problems(*_statuses(method, path, operation)).items():
                answers[str(status)] = problem


def _statuses(method: str, path: str, operation: dict[str, Any]) -> set[int]:
    """Return what can go wrong, by what the route takes and needs."""
    found = {413, 421, 500}
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
    return found


def _answer(request: Request, error: Exception) -> Response:
    return problem_response(_problem_of(error), request.url.path, request.state.request_id)


def _problem_of(error: Exception) -> ProblemError:
    """Return what an error means to the one who asked."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, HTTPException):
        return _of_framework(error)
    if isinstance(error, RequestValidationError):
        parts = [_part(problem) for problem in error.errors()]
        return ProblemError(422, "invalid", "The request has wrong fields.", parts=parts)
    status, code = next(
        (answer for kind, answer in _ANSWERS.items() if isinstance(error, kind)), (409, "refused")
    )
    headers = {"Retry-After": _WAITS[code]} if code in _WAITS else None
    return ProblemError(status, code, str(error), headers=headers, parts=_field_of(error))


def _field_of(error: Exception) -> list[ProblemPart]:
    """Return the field of the study that an error is about, where it says so."""
    if not isinstance(error, InputError) or not error.field:
        return []
    pointer = pointer_to(["study", *error.field.split(".")])
    return [ProblemPart(pointer=pointer, detail=_plain(str(error)), code="refused")]


def _of_framework(error: HTTPException) -> ProblemError:
    """Return the problem of an error that FastAPI or Starlette raised."""
    status = error.status_code
    detail = {
        404: "There is nothing at this path. See /api/v1/openapi.json for all paths.",
        405: "This path does not know this method; the header Allow says which it knows.",
    }.get(status, f"{HTTPStatus(status).phrase}: {error.detail}")
    code = _CODES.get(status, HTTPStatus(status).phrase.lower().replace(" ", "-"))
    return ProblemError(status, code, detail, headers=error.headers)


def _part(problem: Mapping[str, Any]) -> ProblemPart:
    where, *names = problem["loc"]
    if problem["type"] == "json_invalid":
        names = []
    pointer = pointer_to(names) if where == "body" else f"{where}:{'.'.join(map(str, names))}"
    return ProblemPart(pointer=_plain(pointer), detail=in_words(problem), code=problem["type"])


def pointer_to(names: Sequence[str | int]) -> str:
    """Return the JSON pointer, as a URI fragment, of a part of the body (RFC 6901)."""
    escaped = (str(name).replace("~", "~0").replace("/", "~1") for name in names)
    return "/".join(["#", *escaped])


def sentence(text: str) -> str:
    """Return a reason as a sentence, with a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?')) else '.'}"


def in_words(problem: Mapping[str, Any]) -> str:
    """Return what pydantic found wrong, without the marks it puts around our own words."""
    if problem["type"] == "extra_forbidden":
        return "unknown field"
    reason = problem.get("ctx", {}).get("error", "") if problem["type"] == "json_invalid" else ""
    message = str(problem["msg"]).removeprefix("Value error, ")
    return _plain(f"{message}: {reason}" if reason else message)


def _plain(text: str) -> str:
    """Replace what is no character, such as half of a surrogate pair."""
    return str(text).encode("utf-8", "replace").decode()
