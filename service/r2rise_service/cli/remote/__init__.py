"""`r2rise datasets` and `r2rise jobs`: what a server does; here is what their commands share."""

import json as json_
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from r2rise.study.notices import Notice
    from r2rise_service.client import Client

Url = Annotated[
    str | None, typer.Option(help="The server; else R2RISE_URL, else http://127.0.0.1:8000.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Id of a job, job_...")]


def connect(url: str | None) -> "Client":
    """Return a client of the server that was named."""
    from r2rise_service.client import Client

    return Client(url=url)


def print_json(value: Any) -> None:
    """Print JSON."""
    typer.echo(json_.dumps(value, indent=2))


def warn(notices: "Iterable[Notice]") -> None:
    """Say what was noticed about a study."""
    for notice in notices:
        typer.echo(f"Warning ({notice.code}): {notice.detail}", err=True)


def label_of(text: str) -> tuple[str, str]:
    """Return name and value of a label.

    Raises:
        InputError: When it is no name=value.
    """
    from r2rise.errors import InputError

    name, separator, value = text.partition("=")
    if not name or not separator:
        raise InputError(f"--label should be name=value, got {text!r}.")
    return name, value


def labels_of(texts: Iterable[str] | None) -> dict[str, str]:
    """Return all labels that were given."""
    return dict(map(label_of, texts or ()))
