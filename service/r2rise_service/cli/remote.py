"""`r2rise datasets`, and what the commands that ask a server share."""

import json as json_
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from r2rise_service.cli import asking

if TYPE_CHECKING:
    from r2rise.study.notices import Notice
    from r2rise_service.client import Client
    from r2rise_service.models import DatasetInfo

Url = Annotated[
    str | None, typer.Option(help="The server; else R2RISE_URL, else http://127.0.0.1:8000.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Id of a job, job_...")]
DatasetId = Annotated[str, typer.Argument(metavar="DATASET", help="Id of a dataset, ds_...")]

datasets = typer.Typer(help="Demonstrations on a server.", no_args_is_help=True)


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


@datasets.command("upload")
def upload(
    demonstrations: asking.Demos,
    obs_keys: asking.ObsKeys = None,
    format: asking.Format = None,  # noqa: A002
    url: Url = None,
    json: Json = False,
) -> None:
    """Upload demonstrations, unless the server has them; other formats are converted here.

    Example: r2rise datasets upload demos.npz
    """
    with connect(url) as client:
        keys = asking.listed(obs_keys) or ()
        found = client.datasets.upload(demonstrations, obs_keys=keys, format=format)
    _print_dataset(found, json=json)


@datasets.command("list")
def list_datasets(url: Url = None, json: Json = False) -> None:
    """List your demonstrations.

    Example: r2rise datasets list
    """
    with connect(url) as client:
        found = client.datasets.list()
    if json:
        print_json([info.model_dump(mode="json") for info in found])
        return
    from r2rise_service.cli.printing import say_table

    say_table(
        "Datasets",
        ["id", "demonstrations", "frames", "uploaded"],
        (
            [info.id, str(info.n_demonstrations), str(info.n_frames), f"{info.created_at:%F %R}"]
            for info in found
        ),
    )


@datasets.command("show")
def show_dataset(dataset: DatasetId, url: Url = None, json: Json = False) -> None:
    """Show what the server knows of demonstrations.

    Example: r2rise datasets show ds_123
    """
    with connect(url) as client:
        _print_dataset(client.datasets.get(dataset), json=json)


@datasets.command("delete")
def delete_dataset(dataset: DatasetId, url: Url = None) -> None:
    """Delete demonstrations that no live job uses.

    Example: r2rise datasets delete ds_123
    """
    with connect(url) as client:
        client.datasets.delete(dataset)
    typer.echo(f"Deleted: {dataset}.", err=True)


def _print_dataset(info: "DatasetInfo", *, json: bool) -> None:
    if json:
        print_json(info.model_dump(mode="json"))
        return
    typer.echo(info.id)
    typer.echo(
        f"{info.n_demonstrations} demonstrations, {info.n_frames} frames, observations "
        f"{info.obs_shape}, actions {info.act_shape}, {info.sha256}",
        err=True,
    )
