"""What a server answered, as the client's models: what a later version added is ignored."""

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

_MOST_REASONS, _LONGEST_REASON = 3, 200


class Listed(Answer, Generic[Model]):
    """A list that is answered as a whole."""

    data: tuple[Model, ...]


def read(model: type[Model], text: str | bytes) -> Model:
    """Read an answer; fields that the model does not know are ignored at every depth.

    Raises:
        ApiError: When it is something else (`code` is `unreadable`).
    """
    try:
        return model.model_validate_json(text, extra="ignore")
    except ValidationError as error:
        raise _unreadable(_reasons(error)) from None


def read_event(text: str | bytes) -> JobEvent:
    """Read an event and what it tells of progress; see `read`."""
    return _checked(read(JobEvent, text))


def read_events(text: str | bytes) -> list[JobEvent]:
    """Read a list of events; see `read_event`."""
    return [_checked(event) for event in read(Listed[JobEvent], text).data]


def _checked(event: JobEvent) -> JobEvent:
    try:
        _ = event.progress
    except ValidationError as error:
        raise _unreadable(_reasons(error)) from None
    return event


def read_result(kind: type[SavedResult], text: str) -> SavedResult:
    """Read a result as the library saves it; see `read`."""
    try:
        return kind.from_json(text)
    except InputError as error:
        raise _unreadable([f"{kind.title}: {error}"]) from None


def read_record(retraining: Retraining) -> Record:
    """Read a record of a ledger; see `read`."""
    try:
        return Record.from_json(retraining.model_dump())
    except ValueError as error:
        raise _unreadable([f"mask: {error}"]) from None


def _reasons(error: ValidationError) -> list[str]:
    """Return what is wrong, without what came: there may be much of it, and secrets in it."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return [": ".join(filter(None, (".".join(map(str, e["loc"])), e["msg"]))) for e in found]


def _unreadable(reasons: Iterable[str]) -> ApiError:
    shown = [f"  {shorten(reason, _LONGEST_REASON)}" for reason in reasons]
    more = [f"  and {len(shown) - _MOST_REASONS} more"] if len(shown) > _MOST_REASONS else []
    lines = "\n".join([*shown[:_MOST_REASONS], *more])
    return ApiError(
        Problem(
            type="about:blank",
            title="Unreadable answer",
            status=200,
            code="unreadable",
            detail=f"The server's answer cannot be read:\n{lines}\n"
            f"Is this URL that of an R2RISE server? Where it has a newer version, upgrade r2rise.",
        )
    )
