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
"""Value of Retry-After, in seconds, for states that change without the client."""

_RETRY_AFTER = {"not-ready": RETRY_SECONDS, "too-many-jobs": "30"}

_HTTP_CODES = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    409: "conflict",
    413: "too-large",
    422: "invalid",
    500: "internal",
}

_RENAMED = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
"""Statuses that have the names of RFC 9110 only since Python 3.13."""

_STATUS_AND_CODE: dict[type[Exception], tuple[int, str]] = {
    TooLarge: (413, "too-large"),
    BadUpload: (422, "bad-demonstrations"),
    NotReady: (409, "not-ready"),
    IdempotencyKeyReused: (422, "idempotency-key-reused"),
    TooManyLive: (429, "too-many-jobs"),
    StoreConflict: (409, "conflict"),
    InputError: (422, "refused"),
    MissingExtra: (422, "not-installed"),
}


_PROBLEM_CONTENT = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def name_of(status: int) -> str:
    """Return the name of an HTTP status, the same with every Python."""
    return _RENAMED.get(status) or HTTPStatus(status).phrase


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route for the problems that are specific to it.

    `describe_problems` adds the problems that follow from its parameters, body and scope.
    """
    return {
        status: {"description": name_of(status), "content": _PROBLEM_CONTENT} for status in statuses
    }


ANY_PROBLEM: dict[int | str, dict[str, Any]] = {"default": {"description": "A problem"}}
"""The `responses` of all routes, so that FastAPI adds no descriptions of its own problems."""


class ProblemError(HTTPException):
    """Answers a request with a problem.

    Attributes:
        code: Error code for programs.
        parts: One entry for each wrong part of the request.
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
    """Return the response that reports a problem."""
    problem = Problem(
        type=f"urn:r2rise:problem:{error.code}",
        title=error.code.replace("-", " ").capitalize(),
        status=error.status_code,
        detail=_encodable(error.detail),
        instance=_encodable(instance),
        code=error.code,
        request_id=request_id,
        errors=error.parts,
    )
    return Response(
        problem.model_dump_json(), error.status_code, error.headers, media_type=MEDIA_TYPE
    )


def add_problem_handlers(app: FastAPI) -> None:
    """Register handlers that answer every expected error with a problem."""
    for error_type in (
        HTTPException, RequestValidationError, R2RiseError, StoreConflict, TooLarge, BadUpload,
    ):  # fmt: skip
        app.add_exception_handler(error_type, _handle)


def describe_problems(schema: dict[str, Any]) -> None:
    """Describe in OpenAPI, for each route, exactly the problems that it can answer with.

    Args:
        schema: OpenAPI with the declarations of the routes and `security`; changed in place.
    """
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            responses = operation["responses"]
            responses.pop("default", None)
            for status, problem in problems(*_statuses(method, path, operation)).items():
                responses[str(status)] = problem


def _statuses(method: str, path: str, operation: dict[str, Any]) -> set[int]:
    """Return the error statuses that follow from parameters, body and scope of a route."""
    statuses = {413, 421, 500}
    if operation["security"]:
        statuses |= {401, 403}
    if method not in ("get", "head"):
        statuses |= {403}
    if "{" in path:
        statuses |= {404}
    if "requestBody" in operation:
        statuses |= {415, 422}
    if operation.get("parameters"):
        statuses |= {422}
    return statuses


def _handle(request: Request, error: Exception) -> Response:
    return problem_response(_to_problem(error), request.url.path, request.state.request_id)


def _to_problem(error: Exception) -> ProblemError:
    """Return an error as the problem that the client gets."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, HTTPException):
        return _framework_problem(error)
    if isinstance(error, RequestValidationError):
        parts = [_validation_part(problem) for problem in error.errors()]
        return ProblemError(422, "invalid", "The request has wrong fields.", parts=parts)
    status, code = next(
        (
            status_and_code
            for error_type, status_and_code in _STATUS_AND_CODE.items()
            if isinstance(error, error_type)
        ),
        (409, "refused"),
    )
    headers = {"Retry-After": _RETRY_AFTER[code]} if code in _RETRY_AFTER else None
    return ProblemError(status, code, str(error), headers=headers, parts=_field_parts(error))


def _field_parts(error: Exception) -> list[ProblemPart]:
    """Return the field of the study that an error names; an empty list when it names none."""
    if not isinstance(error, InputError) or not error.field:
        return []
    pointer = pointer_to(["study", *error.field.split(".")])
    return [ProblemPart(pointer=pointer, detail=_encodable(str(error)), code="refused")]


def _framework_problem(error: HTTPException) -> ProblemError:
    """Return the problem of an error that FastAPI or Starlette raised."""
    status = error.status_code
    detail = {
        404: "There is nothing at this path. See /api/v1/openapi.json for all paths.",
        405: "This path does not support this method; see the header Allow.",
    }.get(status, f"{name_of(status)}: {error.detail}")
    code = _HTTP_CODES.get(status, name_of(status).lower().replace(" ", "-"))
    return ProblemError(status, code, detail, headers=error.headers)


def _validation_part(problem: Mapping[str, Any]) -> ProblemPart:
    where, *names = problem["loc"]
    if problem["type"] == "json_invalid":
        names = []
    pointer = pointer_to(names) if where == "body" else f"{where}:{'.'.join(map(str, names))}"
    return ProblemPart(
        pointer=_encodable(pointer), detail=validation_message(problem), code=problem["type"]
    )


def pointer_to(names: Sequence[str | int]) -> str:
    """Return the JSON pointer (RFC 6901), as a URI fragment, to a part of the body."""
    escaped = (str(name).replace("~", "~0").replace("/", "~1") for name in names)
    return "/".join(["#", *escaped])


def as_sentence(text: str) -> str:
    """Return a reason as a sentence, with a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?')) else '.'}"


def validation_message(problem: Mapping[str, Any]) -> str:
    """Return the message of a pydantic error without the prefix of errors raised in validators."""
    if problem["type"] == "extra_forbidden":
        return "unknown field"
    reason = problem.get("ctx", {}).get("error", "") if problem["type"] == "json_invalid" else ""
    message = str(problem["msg"]).removeprefix("Value error, ")
    return _encodable(f"{message}: {reason}" if reason else message)


def _encodable(text: str) -> str:
    """Replace code points that UTF-8 cannot encode, such as lone surrogates."""
    return str(text).encode("utf-8", "replace").decode()
