"""`r2rise worker`: worker processes on this machine for the servers that use a scheduler."""

from pathlib import Path
from typing import Annotated

import typer


def worker(
    scheduler: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Dask scheduler, tls://HOST:PORT.")
    ],
    tls_ca: Annotated[Path | None, typer.Option(help="Certificate of the signer.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate of this worker.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes, of one thread each.")] = 1,
) -> None:
    """Retrain for the servers that use a Dask scheduler.

    Waits for the scheduler when it is not there. The data folder of the server must be mounted at
    the same path as there. Ctrl-C stops it.

    Example: r2rise worker --scheduler tcp://127.0.0.1:8786 --workers 2
    """
    from r2rise_service.installed import check_installed

    check_installed("A worker")
    from r2rise_service.logs import configure

    configure("info")
    from r2rise.run.engines.cluster import Scheduler
    from r2rise_service.worker import run

    run(Scheduler(scheduler, tls_ca, tls_cert, tls_key), workers)
