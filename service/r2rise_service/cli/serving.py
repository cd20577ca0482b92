"""`r2rise serve`: runs the server."""

import logging
from pathlib import Path
from typing import Annotated

import typer


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

    def ready(url: str) -> None:
        typer.echo(
            f"R2RISE answers at {url} (Ctrl-C stops it).\n"
            f"Data: {settings.data.resolve()}\n"
            f"Keys: {key_command(settings)}"
        )

    configure(settings.log_level)
    for warning in unknown_variables():
        logging.getLogger(__name__).warning(warning)
    server.serve(settings, ready=ready)
