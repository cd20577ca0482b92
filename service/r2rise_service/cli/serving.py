"""`r2rise serve` and `r2rise keys`: for whoever runs the server."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from r2rise_service.settings import Settings

Data = Annotated[Path, typer.Option(help="Folder of database, demonstrations and keys.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

DEFAULT_DATA = Path("r2rise-data")

keys = typer.Typer(help="API keys of a server: who may use it.", no_args_is_help=True)


def serve(
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of database and demonstrations.", show_default="r2rise-data"),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(metavar="URL", help="postgresql://...", show_default="SQLite in --data"),
    ] = None,
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
        int | None, typer.Option(min=1, help="Worker processes.", show_default="2")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler, instead of own worker processes."),
    ] = None,
    tls_ca: Annotated[Path | None, typer.Option(help="Certificate of the signer.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate of this server.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key.")] = None,
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

    check_installed()
    from r2rise_service import server
    from r2rise_service.settings import Settings

    _log_what_matters()
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

    def ready(url: str) -> None:
        typer.echo(
            f"R2RISE answers at {url} (Ctrl-C stops it).\n"
            f"Data: {settings.data.resolve()}\n"
            f"Keys: r2rise keys create --data {settings.data} (while the server is stopped)"
        )

    server.serve(settings, ready=ready)
    typer.echo("Stopped. Unfinished jobs go on when the server is started again.", err=True)


def _log_what_matters() -> None:
    """Log our own news and everyone's warnings on standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
    handler.addFilter(
        lambda record: record.levelno >= logging.WARNING or record.name.startswith("r2rise")
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler])


@keys.command("create")
def create(
    data: Data = DEFAULT_DATA,
    owner: Annotated[str, typer.Option(help="Whose jobs and datasets it opens.")] = "local",
    name: Annotated[str, typer.Option(help="What the key is for.")] = "",
    json: Json = False,
) -> None:
    """Make an API key and show its secret, once.

    Example: r2rise keys create --data r2rise-data --owner anna --name laptop
    """
    from r2rise_service.keys import digest_of, new_secret
    from r2rise_service.server import opened
    from r2rise_service.settings import Settings

    secret = new_secret()
    with opened(Settings(data=data)) as store:
        key = store.add_key(owner, name, ("read", "submit"), digest_of(secret))
    if json:
        typer.echo(key.model_dump_json(indent=2))
    else:
        typer.echo(secret)
        typer.echo(f"Key {key.id} of {owner}. The secret is not shown again.", err=True)


@keys.command("list")
def list_(data: Data = DEFAULT_DATA, json: Json = False) -> None:
    """List the API keys, without their secrets.

    Example: r2rise keys list --data r2rise-data
    """
    from r2rise_service.cli.printing import say_table
    from r2rise_service.server import opened

    with opened(_existing(data)) as store:
        found = store.keys()
    if json:
        import json as json_

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
    data: Data = DEFAULT_DATA,
) -> None:
    """Revoke an API key: it opens nothing any more.

    Example: r2rise keys revoke key_123 --data r2rise-data
    """
    from r2rise.errors import InputError
    from r2rise_service.server import opened

    with opened(_existing(data)) as store:
        if not store.revoke_key(key_id):
            raise InputError(f"There is no key {key_id}: see `r2rise keys list --data {data}`.")
    typer.echo(f"Revoked: {key_id}.", err=True)


def _existing(data: Path) -> "Settings":
    from r2rise.errors import InputError
    from r2rise_service.settings import Settings

    if not data.is_dir():
        raise InputError(f"There is no folder {data}: name the server's own with --data.")
    return Settings(data=data)
