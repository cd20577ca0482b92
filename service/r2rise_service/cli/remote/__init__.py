"""`r2rise datasets` and `r2rise jobs`, which ask a server. This module has what they share."""

import json as json_
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from r2rise.study.notices import Notice
    from r2rise_service.client import Client

Url = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="URL of the server.",
        show_default="R2RISE_URL, or http://127.0.0.1:8000",
    ),
]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Job id, such as job_123.")]


def connect(url: str | None) -> "Client":
    """Return a client for a URL; None selects the default of `Client`."""
    from r2rise_service.client import Client

    return Client(url=url)


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    typer.echo(json_.dumps(value, indent=2))


def print_warnings(notices: "Iterable[Notice]") -> None:
    """Print notices about a study as warnings on standard error."""
    for notice in notices:
        typer.echo(f"Warning ({notice.code}): {notice.detail}", err=True)


def parse_label(text: str) -> tuple[str, str]:
    """Return the name and the value of a label.

    Raises:
        InputError: When the text is not name=value.
    """
    from r2rise.errors import InputError

    name, separator, value = text.partition("=")
    if not name or not separator:
        raise InputError(f"--label should be name=value, got {text!r}.")
    return name, value


def parse_labels(texts: Iterable[str] | None) -> dict[str, str]:
    """Return labels as a dictionary; see `parse_label` for errors."""
    return dict(map(parse_label, texts or ()))
