"""`r2rise datasets`."""

from typing import TYPE_CHECKING, Annotated

import typer

from r2rise_service.cli.help import Commands, HelpfulGroup
from r2rise_service.cli.options import (
    Demos,
    Format,
    Json,
    ObsKeys,
    split_commas,
    with_option_groups,
)
from r2rise_service.cli.reading import Reading, check_keys
from r2rise_service.cli.remote import Url, connect, print_json

if TYPE_CHECKING:
    from r2rise_service.models import DatasetInfo

DatasetId = Annotated[str, typer.Argument(metavar="DATASET", help="Dataset id, such as ds_123.")]

datasets = Commands(
    cls=HelpfulGroup, help="Manage demonstrations on a server.", no_args_is_help=True
)


@datasets.command("upload")
@with_option_groups
def upload(
    *,
    demonstrations: Demos,
    obs_keys: ObsKeys = None,
    format: Format = None,  # noqa: A002
    reading: Reading,
    url: Url = None,
    json: Json = False,
) -> None:
    """Upload demonstrations to a server.

    Formats other than .npz are converted first. Nothing is sent if the server has the
    demonstrations already.

    Example: r2rise datasets upload demos.npz
    """
    check_keys(demonstrations, format, obs_keys)
    with connect(url) as client:
        keys = split_commas(obs_keys) or ()
        dataset = client.datasets.upload(
            demonstrations, obs_keys=keys, format=format, **reading.arguments()
        )
    _print_dataset(dataset, json=json)


@datasets.command("list")
def list_datasets(url: Url = None, json: Json = False) -> None:
    """List your datasets.

    Example: r2rise datasets list
    """
    with connect(url) as client:
        infos = client.datasets.list()
    if json:
        print_json([info.model_dump(mode="json") for info in infos])
        return
    from r2rise_service.cli.output import say_table

    say_table(
        "Datasets",
        ["id", "demonstrations", "frames", "uploaded"],
        (
            [info.id, str(info.n_demonstrations), str(info.n_frames), f"{info.created_at:%F %R}"]
            for info in infos
        ),
    )


@datasets.command("show")
def show_dataset(dataset: DatasetId, url: Url = None, json: Json = False) -> None:
    """Show a dataset: its demonstrations, frames and shapes.

    Example: r2rise datasets show ds_123
    """
    with connect(url) as client:
        _print_dataset(client.datasets.get(dataset), json=json)


@datasets.command("delete")
def delete_dataset(dataset: DatasetId, url: Url = None) -> None:
    """Delete a dataset that no live job uses.

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
