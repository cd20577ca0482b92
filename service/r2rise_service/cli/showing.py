"""`r2rise show`."""

from pathlib import Path
from typing import Annotated

import typer


def show(
    path: Annotated[
        Path, typer.Argument(metavar="MAP", help="map.json, map.npz or the directory it is in.")
    ],
    top: Annotated[int, typer.Option(min=1, help="Segments in each table.")] = 10,
    json: Annotated[bool, typer.Option("--json", help="Print the map as JSON.")] = False,
) -> None:
    """Print what a saved importance map says.

    Example: r2rise show out/ --top 5
    """
    from r2rise import ImportanceMap
    from r2rise_service.cli.summary import print_map

    importance = ImportanceMap.load(path)
    if json:
        typer.echo(importance.to_json(), nl=False)
    else:
        print_map(importance, top)
