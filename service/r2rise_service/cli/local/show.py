"""`r2rise show`, `report`, `algorithms`, `environments`: saved results, and what is installed."""

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer

from r2rise_service.cli.options import Directory, Force, Json
from r2rise_service.cli.ready import check_files


def show(
    path: Annotated[
        Path,
        typer.Argument(metavar="MAP", help="map.json, map.npz, or the directory that holds it."),
    ],
    top: Annotated[
        int, typer.Option(min=1, metavar="N", help="Number of rows in each table.")
    ] = 10,
    json: Annotated[bool, typer.Option("--json", help="Print the map as JSON.")] = False,
) -> None:
    """Print a saved importance map.

    Example: r2rise show out/ --top 5
    """
    from r2rise import ImportanceMap
    from r2rise_service.cli.output import print_map

    importance = ImportanceMap.load(path)
    if json:
        typer.echo(importance.to_json(), nl=False)
    else:
        print_map(importance, top)


def report(
    directory: Directory,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File to write.", show_default="report.html in DIR"),
    ] = None,
    force: Force = False,
) -> None:
    """Write all results of a study on one HTML page.

    Example: r2rise report out/ --out report.html
    """
    from r2rise.ask.directory import OutputDirectory
    from r2rise.errors import InputError
    from r2rise.report.report import FILE_NAME, write_report

    if out is None:
        study = OutputDirectory(directory)
        check_files(force=force, study=study, default_paths=[directory / FILE_NAME])
    elif out.suffix != ".html":
        raise InputError(f"--out should end in .html, got {out}.")
    else:
        check_files(out, force=force)
    typer.echo(f"Written: {write_report(directory, out=out)}.")


def algorithms(json: Json = False) -> None:
    """List the installed algorithms, their settings, and the packages that they need.

    Example: r2rise algorithms
    """
    from r2rise.algorithms import algorithm_names
    from r2rise.algorithms.registry import load_implementation, needed_extra, settings_model
    from r2rise.study.specs import AlgorithmSpec

    schemas: dict[str, dict[str, Any]] = {}
    for name in algorithm_names():
        implementation = load_implementation(AlgorithmSpec(name=name))
        schemas[name] = settings_model(implementation).model_json_schema()
    if json:
        typer.echo(json_module.dumps(schemas, indent=2))
        return
    for name, schema in schemas.items():
        typer.echo(_with_extra(name, needed_extra(name)))
        for setting, field in schema["properties"].items():
            typer.echo(f"  {setting} = {json_module.dumps(field.get('default'))}")


def environments(
    contains: Annotated[
        str, typer.Argument(metavar="TEXT", help="List only ids that contain this.")
    ] = "",
    json: Json = False,
) -> None:
    """List the environment ids of gymnasium, and the packages that they need.

    Example: r2rise environments cartpole
    """
    from r2rise.environments import environment_ids
    from r2rise_envs import needed_extra

    ids = [name for name in environment_ids() if contains.lower() in name.lower()]
    if json:
        typer.echo(json_module.dumps(ids, indent=2))
        return
    if not ids:
        typer.echo(f"No environment id contains {contains!r}.", err=True)
    for name in ids:
        typer.echo(_with_extra(name, needed_extra(name)))


def _with_extra(name: str, extra: str | None) -> str:
    return f'{name}  needs: pip install "r2rise[{extra}]"' if extra else name
