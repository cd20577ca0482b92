"""Parses answers of the server; fields that a later version added are ignored."""

from collections.abc import Iterable
from textwrap import shorten
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from r2rise.errors import InputError
from r2rise.ledger.record import Record
from r2rise.results.result import Result
from r2rise_service.client.errors import ApiError
from r2rise_service.models import Answer, JobEvent, Problem
from r2rise_service.records import Retraining

Model = TypeVar("Model", bound=BaseModel)
SavedResult = TypeVar("SavedResult", bound=Result)

_MAX_REASONS, _MAX_REASON_LENGTH = 3, 200


class ListAnswer(Answer, Generic[Model]):
    """An answer with a complete list, without pages."""

    data: tuple[Model, ...]


def read(model: type[Model], text: str | bytes) -> Model:
    """Parse an answer as a model; fields that the model lacks are ignored at every depth.

    Raises:
        ApiError: When the text does not fit the model (`code` is `unreadable`).
    """
    try:
        return model.model_validate_json(text, extra="ignore")
    except ValidationError as error:
        raise _unreadable(_reasons(error)) from None


def read_event(text: str | bytes) -> JobEvent:
    """Parse an event and check its progress; see `read` for errors."""
    return _check_progress(read(JobEvent, text))


def read_events(text: str | bytes) -> list[JobEvent]:
    """Parse a list of events; see `read_event`."""
    return [_check_progress(event) for event in read(ListAnswer[JobEvent], text).data]


def _check_progress(event: JobEvent) -> JobEvent:
    try:
        _ = event.progress
    except ValidationError as error:
        raise _unreadable(_reasons(error)) from None
    return event


def read_result(result_class: type[SavedResult], text: str) -> SavedResult:
    """Parse a result in the format of the library; see `read` for errors."""
    try:
        return result_class.from_json(text)
    except InputError as error:
        raise _unreadable([f"{result_class.title}: {error}"]) from None


def read_record(retraining: Retraining) -> Record:
    """Convert a retraining to a record of a ledger; see `read` for errors."""
    try:
        return Record.from_json(retraining.model_dump())
    except ValueError as error:
        raise _unreadable([f"mask: {error}"]) from None


def _reasons(error: ValidationError) -> list[str]:
    """Return the error messages without the input, which may be long or contain secrets."""
    errors = error.errors(include_input=False, include_url=False, include_context=False)
    return [": ".join(filter(None, (".".join(map(str, e["loc"])), e["msg"]))) for e in errors]


def _unreadable(reasons: Iterable[str]) -> ApiError:
    short_reasons = [f"  {shorten(reason, _MAX_REASON_LENGTH)}" for reason in reasons]
    n_hidden = len(short_reasons) - _MAX_REASONS
    more = [f"  and {n_hidden} more"] if n_hidden > 0 else []
    lines = "\n".join([*short_reasons[:_MAX_REASONS], *more])
    return ApiError(
        Problem(
            type="about:blank",
            title="Unreadable answer",
            status=200,
            code="unreadable",
            detail=f"The server's answer cannot be read:\n{lines}\n"
            f"Is this URL that of an R2RISE server? If it has a newer version, upgrade r2rise.",
        )
    )
