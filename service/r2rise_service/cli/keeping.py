"""`r2rise keys` and `r2rise db`: for whoever runs the server."""

import json as json_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from r2rise_service.settings import Settings

Data = Annotated[Path | None, typer.Option(help="The server's folder.", show_default="r2rise-data")]
Database = Annotated[
    str | None,
    typer.Option(metavar="URL", help="postgresql://...", show_default="SQLite in --data"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

keys = typer.Typer(help="API keys of a server: who may use it.", no_args_is_help=True)
db = typer.Typer(help="The database of a server.", no_args_is_help=True)


@keys.command("create")
def create(
    data: Data = None,
    database: Database = None,
    owner: Annotated[str, typer.Option(help="Whose jobs and datasets it opens.")] = "local",
    name: Annotated[str, typer.Option(help="What the key is for.")] = "",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="What it allows: read, submit or admin; repeatable.",
            show_default="read and submit",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Make an API key and show its secret, once. The server may be running.

    Example: r2rise keys create --data r2rise-data --owner anna --name laptop
    """
    settings = _settings(data, database)
    from r2rise_service.keyring import keyring, request_of

    asked = request_of(owner, name, scope or ["read", "submit"])
    with keyring(settings) as ring:
        key = ring.create(owner=asked.owner, name=asked.name, scopes=asked.scopes)
    if json:
        typer.echo(key.model_dump_json(indent=2))
        return
    typer.echo(key.secret)
    typer.echo(f"Key {key.id} of {owner}. The secret is not shown again.", err=True)


@keys.command("list")
def list_(data: Data = None, database: Database = None, json: Json = False) -> None:
    """List the API keys, without their secrets.

    Example: r2rise keys list --data r2rise-data
    """
    settings = _existing(data, database)
    from r2rise_service.cli.printing import say_table
    from r2rise_service.keyring import keyring

    with keyring(settings) as ring:
        found = ring.list()
    if json:
        typer.echo(json_.dumps([key.model_dump(mode="json") for key in found], indent=2))
        return
    say_table(
        "API keys",
        ["id", "owner", "name", "scopes", "created"],
        ([k.id, k.owner, k.name, ", ".join(k.scopes), f"{k.created_at:%F %R}"] for k in found),
    )


@keys.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="Its id, see `keys list`.")],
    data: Data = None,
    database: Database = None,
) -> None:
    """Revoke an API key: it opens nothing any more.

    Example: r2rise keys revoke key_123 --data r2rise-data
    """
    settings = _existing(data, database)
    from r2rise_service.keyring import keyring

    with keyring(settings) as ring:
        ring.revoke(key_id)
    typer.echo(f"Revoked: {key_id}.", err=True)


@db.command("upgrade")
def upgrade(data: Data = None, database: Database = None) -> None:
    """Bring a database to the newest schema, or make one. Stop the servers that use it first.

    Example: r2rise db upgrade --database postgresql://r2rise@db.example/r2rise
    """
    settings = _settings(data, database)
    from r2rise_service.opening import upgraded

    before, after = upgraded(settings)
    if before == after:
        typer.echo(f"The database has the newest schema, {after}.")
    else:
        typer.echo(f"Upgraded from {before or 'nothing'} to {after}.")


@db.command("check")
def check(data: Data = None, database: Database = None) -> None:
    """Say which schema a database has; exit status 1 when it is old. A server may be running.

    Example: r2rise db check --database postgresql://r2rise@db.example/r2rise
    """
    settings = _existing(data, database)
    from r2rise_service.opening import connected

    with connected(settings) as store:
        schema = store.schema()
    if schema.is_current:
        typer.echo(f"The database has the newest schema, {schema.current}.")
        return
    typer.echo(
        f"The database has the schema {schema.current or 'of nothing'}, the newest is "
        f"{schema.newest}: stop the servers that use it and run `r2rise db upgrade`."
    )
    raise typer.Exit(1)


def _settings(data: Path | None, database: str | None) -> "Settings":
    from r2rise_service.installed import check_installed

    check_installed("The server")
    from r2rise_service.settings import Settings

    return Settings.read(data=data, database=database)


def _existing(data: Path | None, database: str | None) -> "Settings":
    """Return the settings of a server that has run before.

    Raises:
        InputError: When it has no data.
    """
    from r2rise.errors import InputError

    settings = _settings(data, database)
    if settings.on_sqlite and not settings.data.is_dir():
        raise InputError(f"There is no folder {settings.data}: name the server's own with --data.")
    return settings
