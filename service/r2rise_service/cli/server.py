"""`r2rise serve`, `worker`, `keys` and `db`: commands for operators of a server."""

import json as json_
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from r2rise_service.cli.help import Commands, HelpfulGroup
from r2rise_service.cli.options import Json

if TYPE_CHECKING:
    from r2rise_service.settings import Settings

Data = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Data folder of the server.", show_default="r2rise-data"),
]
Database = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="PostgreSQL database: postgresql://...",
        show_default="SQLite in --data",
    ),
]
TlsCa = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Certificate of the authority that signed the others."),
]
TlsKey = Annotated[Path | None, typer.Option(metavar="FILE", help="Private key of --tls-cert.")]

keys = Commands(cls=HelpfulGroup, help="Manage the API keys of a server.", no_args_is_help=True)
db = Commands(
    cls=HelpfulGroup, help="Upgrade or check the database of a server.", no_args_is_help=True
)


def serve(
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the database and the demonstrations.",
            show_default="r2rise-data",
        ),
    ] = None,
    database: Database = None,
    host: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Address to listen on.", show_default="127.0.0.1"),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Other host name by which clients reach the server; repeatable."
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="N",
            help="Port; 0 selects any free port.",
            show_default="8000",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", help="Number of worker processes.", show_default="2"),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler to use instead of local workers."),
    ] = None,
    tls_ca: TlsCa = None,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate of this server.")
    ] = None,
    tls_key: TlsKey = None,
    keep_days: Annotated[
        float | None,
        typer.Option(
            metavar="N", help="Days after which ended jobs are deleted.", show_default="never"
        ),
    ] = None,
) -> None:
    """Run a server, which retrains for its clients.

    Clients upload demonstrations and submit jobs over HTTP. The server keeps all state in one
    folder; after a crash, a restarted server resumes its jobs. Each option has an environment
    variable, such as R2RISE_PORT for --port; docs/service.md lists all settings.

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
            f"R2RISE is running at {url} (Ctrl-C stops it).\n"
            f"Data: {settings.data.resolve()}\n"
            f"Keys: {key_command(settings)}"
        )

    configure(settings.log_level)
    for warning in unknown_variables():
        logging.getLogger(__name__).warning(warning)
    server.serve(settings, ready=print_address)


def worker(
    scheduler: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Dask scheduler: tls://HOST:PORT.")
    ],
    tls_ca: TlsCa = None,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate of this worker.")
    ] = None,
    tls_key: TlsKey = None,
    workers: Annotated[
        int, typer.Option(metavar="N", help="Number of worker processes, with one thread each.")
    ] = 1,
) -> None:
    """Run worker processes for the servers that use a Dask scheduler.

    The server's data folder must be mounted here, at the same path. A worker waits while the
    scheduler cannot be reached. Ctrl-C stops it.

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
    owner: Annotated[
        str, typer.Option(metavar="NAME", help="Owner whose datasets and jobs it opens.")
    ] = "local",
    name: Annotated[str, typer.Option(metavar="TEXT", help="What the key is for.")] = "",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE",
            help="What the key allows: read, submit or admin; repeatable.",
            show_default="read and submit",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Create an API key, and show its secret once.

    You can run this while the server is running.

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
    key_id: Annotated[
        str, typer.Argument(metavar="KEY", help="Id of the key, see `r2rise keys list`.")
    ],
    data: Data = None,
    database: Database = None,
) -> None:
    """Revoke an API key.

    Example: r2rise keys revoke key_123 --data r2rise-data
    """
    settings = _settings_of_existing(data, database)
    from r2rise_service.keyring import open_keyring

    with open_keyring(settings) as ring:
        ring.revoke(key_id)
    typer.echo(f"Revoked: {key_id}.", err=True)


@db.command("upgrade")
def upgrade(data: Data = None, database: Database = None) -> None:
    """Upgrade a database to the newest schema, or create one.

    Stop all servers that use it first.

    Example: r2rise db upgrade --database postgresql://r2rise@db.example/r2rise
    """
    settings = _settings(data, database)
    from r2rise_service.opening import upgrade_database

    old_version, new_version = upgrade_database(settings)
    if old_version == new_version:
        typer.echo(f"The database has the newest schema, {new_version}.")
    elif old_version is None:
        typer.echo(f"Created the schema {new_version}.")
    else:
        typer.echo(f"Upgraded from the schema {old_version} to {new_version}.")


@db.command("check")
def check(data: Data = None, database: Database = None) -> None:
    """Check whether a database has the newest schema.

    The exit status is 1 if the schema is old. You can run this while a server is running.

    Example: r2rise db check --database postgresql://r2rise@db.example/r2rise
    """
    settings = _settings_of_existing(data, database)
    from r2rise_service.opening import connect_store

    with connect_store(settings) as store:
        schema = store.schema_versions()
    if schema.is_current:
        typer.echo(f"The database has the newest schema, {schema.current}.")
        return
    schema_words = f"the schema {schema.current}" if schema.current else "no schema"
    typer.echo(
        f"The database has {schema_words}, but the newest is {schema.newest}: stop "
        f"all servers that use it, then run `r2rise db upgrade`."
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
        raise InputError(
            f"There is no folder {settings.data}: name the data folder of the server with --data."
        )
    return settings
