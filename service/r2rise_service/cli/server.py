"""`r2rise serve`, `worker`, `keys` and `db`: commands for operators of a server."""

import json as json_
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from r2rise_service.cli.help import HelpfulGroup

if TYPE_CHECKING:
    from r2rise_service.settings import Settings

Data = Annotated[Path | None, typer.Option(help="The server's folder.", show_default="r2rise-data")]
Database = Annotated[
    str | None,
    typer.Option(metavar="URL", help="postgresql://...", show_default="SQLite in --data"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TlsCa = Annotated[Path | None, typer.Option(help="Certificate of the signer.")]
TlsKey = Annotated[Path | None, typer.Option(help="Its private key.")]

keys = typer.Typer(cls=HelpfulGroup, help="API keys of a server.", no_args_is_help=True)
db = typer.Typer(cls=HelpfulGroup, help="The database of a server.", no_args_is_help=True)


def serve(
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of database and demonstrations.", show_default="r2rise-data"),
    ] = None,
    database: Database = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Another name by which clients call this server; repeatable."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port; 0: any free.", show_default="8000"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Worker processes.", show_default="2")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler, instead of own worker processes."),
    ] = None,
    tls_ca: TlsCa = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate of this server.")] = None,
    tls_key: TlsKey = None,
    keep_days: Annotated[
        float | None, typer.Option(help="Remove ended jobs after so many days.")
    ] = None,
) -> None:
    """Run a server: jobs over HTTP, kept in a folder, going on after a crash.

    Every setting can come from the environment instead: R2RISE_PORT is --port. See
    docs/service.md for all.

    Example: r2rise serve --data r2rise-data --workers 2
    """
    from r2rise_service.installed import check_installed

    check_installed("The server")
    from r2rise_service import server
    from r2rise_service.logs import configure
    from r2rise_service.opening import key_command
    from r2rise_service.settings import Settings, unknown_variables

    settings = Settings.read(
        data=data,
        database=database,
        host=host,
        hosts=allow_host,
        port=port,
        workers=workers,
        scheduler=scheduler,
        tls_ca=tls_ca,
        tls_cert=tls_cert,
        tls_key=tls_key,
        keep_days=keep_days,
    )

    def print_address(url: str) -> None:
        typer.echo(
            f"R2RISE answers at {url} (Ctrl-C stops it).\n"
            f"Data: {settings.data.resolve()}\n"
            f"Keys: {key_command(settings)}"
        )

    configure(settings.log_level)
    for warning in unknown_variables():
        logging.getLogger(__name__).warning(warning)
    server.serve(settings, ready=print_address)


def worker(
    scheduler: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Dask scheduler, tls://HOST:PORT.")
    ],
    tls_ca: TlsCa = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate of this worker.")] = None,
    tls_key: TlsKey = None,
    workers: Annotated[
        int, typer.Option(metavar="N", help="Worker processes, of one thread each.")
    ] = 1,
) -> None:
    """Retrain for the servers that use a Dask scheduler.

    Waits for the scheduler when it is not there. The data folder of the server must be mounted at
    the same path as there. Ctrl-C stops it.

    Example: r2rise worker --scheduler tcp://127.0.0.1:8786 --workers 2
    """
    from r2rise_service.installed import check_installed

    check_installed("A worker")
    from r2rise.limits import check_workers
    from r2rise_service.logs import configure

    check_workers(workers, least=1)
    configure("info")
    from r2rise.run.engines.cluster import Scheduler
    from r2rise_service.worker import run

    run(Scheduler(scheduler, tls_ca, tls_cert, tls_key), workers)


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
    from r2rise_service.keyring import make_key_request, open_keyring

    request = make_key_request(owner, name, scope or ["read", "submit"])
    with open_keyring(settings) as ring:
        key = ring.create(owner=request.owner, name=request.name, scopes=request.scopes)
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
    settings = _settings_of_existing(data, database)
    from r2rise_service.cli.output import say_table
    from r2rise_service.keyring import open_keyring

    with open_keyring(settings) as ring:
        api_keys = ring.list()
    if json:
        typer.echo(json_.dumps([key.model_dump(mode="json") for key in api_keys], indent=2))
        return
    say_table(
        "API keys",
        ["id", "owner", "name", "scopes", "created"],
        (
            [key.id, key.owner, key.name, ", ".join(key.scopes), f"{key.created_at:%F %R}"]
            for key in api_keys
        ),
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
    settings = _settings_of_existing(data, database)
    from r2rise_service.keyring import open_keyring

    with open_keyring(settings) as ring:
        ring.revoke(key_id)
    typer.echo(f"Revoked: {key_id}.", err=True)


@db.command("upgrade")
def upgrade(data: Data = None, database: Database = None) -> None:
    """Bring a database to the newest schema, or make one. Stop the servers that use it first.

    Example: r2rise db upgrade --database postgresql://r2rise@db.example/r2rise
    """
    settings = _settings(data, database)
    from r2rise_service.opening import upgrade_database

    old_version, new_version = upgrade_database(settings)
    if old_version == new_version:
        typer.echo(f"The database has the newest schema, {new_version}.")
    else:
        typer.echo(f"Upgraded from {old_version or 'nothing'} to {new_version}.")


@db.command("check")
def check(data: Data = None, database: Database = None) -> None:
    """Say which schema a database has; exit status 1 when it is old. A server may be running.

    Example: r2rise db check --database postgresql://r2rise@db.example/r2rise
    """
    settings = _settings_of_existing(data, database)
    from r2rise_service.opening import connect_store

    with connect_store(settings) as store:
        schema = store.schema_versions()
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


def _settings_of_existing(data: Path | None, database: str | None) -> "Settings":
    """Return the settings of a server that already has data.

    Raises:
        InputError: When its data folder does not exist.
    """
    from r2rise.errors import InputError

    settings = _settings(data, database)
    if settings.on_sqlite and not settings.data.is_dir():
        raise InputError(f"There is no folder {settings.data}: name the server's own with --data.")
    return settings
