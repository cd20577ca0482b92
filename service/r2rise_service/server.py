"""Runs the server: starts its parts in order, and stops them in reverse order."""

import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

from r2rise.errors import InputError
from r2rise_service.addresses import is_loopback
from r2rise_service.opening import add_first_key, key_command, make_folder, open_store
from r2rise_service.operator_file import publish_operator_access
from r2rise_service.settings import Settings

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

    from r2rise.run.engines.pool import DaskPool
    from r2rise_service.storage import Store


logger = logging.getLogger(__name__)

GC_THRESHOLDS = (5_000, 20, 1_000)
"""Thresholds of Python's garbage collector. With the tasks of long jobs in memory, a full
collection delays every request by half a second, so it must be rare."""

SWITCH_INTERVAL_SECONDS = 0.001
"""How long a busy thread, such as the reconciler's, may delay requests."""


def serve(settings: Settings, *, ready: Callable[[str], None]) -> None:
    """Run the server until Ctrl-C or SIGTERM.

    Args:
        settings: Settings of the server.
        ready: Called with the URL as soon as requests are answered.

    Raises:
        AlreadyRunning: When another server uses this data folder.
        InputError: When the server cannot listen on the address, or needs keys there and has none;
            when the database cannot be reached, or the first key is not valid.
        OldSchema: When a PostgreSQL database has to be upgraded first.
    """
    from r2rise_service.api.app import create_app
    from r2rise_service.queue.reconciler import Reconciler
    from r2rise_service.storage.files import DatasetFiles

    make_folder(settings)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with (
        suppress(KeyboardInterrupt),
        open_store(settings) as store,
        _listen(settings, store) as sock,
        _publish_for_operator(settings, sock) as token,
    ):
        sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
        gc.set_threshold(*GC_THRESHOLDS)
        files = DatasetFiles(settings.datasets, shared=not settings.on_sqlite)
        reconciler = Reconciler(
            store, files, make_pool_factory(settings), keep_days=settings.keep_days
        )
        reconciler.start()
        try:
            app = create_app(settings, store, files, reconciler, operator_token=token)
            _make_server(settings, app, ready).run(sockets=[sock])
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)  # a second one must not interrupt the end
            reconciler.stop(settings.grace_seconds)
            logger.info("stopped; unfinished jobs continue when a server starts again")


def make_pool_factory(settings: Settings) -> Callable[[], "DaskPool"]:
    """Return a function that starts worker processes, or reaches those of a scheduler.

    Raises:
        InputError: When the scheduler's address and TLS files do not go together.
    """
    from r2rise.run.engines.cluster import WORKER_NICE, Scheduler
    from r2rise.run.engines.pool import DaskPool

    if settings.scheduler is None:
        return lambda: DaskPool(settings.workers, nice=WORKER_NICE)
    tls_files = (settings.tls_ca, settings.tls_cert, settings.tls_key)
    scheduler = Scheduler(settings.scheduler, *tls_files)
    return lambda: DaskPool(scheduler)


@contextmanager
def _listen(settings: Settings, store: "Store") -> Iterator[socket.socket]:
    host, port = settings.host, settings.port
    add_first_key(settings, store)
    if not is_loopback(host) and not store.keys.valid():
        raise InputError(
            f"Listening on {host} needs API keys, or anyone could use this server. Create one with "
            f"`{key_command(settings)}`, name a file with one in R2RISE_FIRST_KEY_FILE, or listen "
            "on 127.0.0.1."
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        sock = socket.create_server((host, port), family=family)
    except OSError as error:
        raise InputError(
            f"Cannot listen on {host}, port {port}: {error.strerror}. Is another server running "
            "there? Choose another with --port."
        ) from None
    with sock:
        yield sock


def _make_server(
    settings: Settings, app: "FastAPI", ready: Callable[[str], None]
) -> "uvicorn.Server":
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started and sockets:
                ready(_server_url(settings.host, sockets[0]))

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            app.state.context.stopping.set()  # open event streams would delay the shutdown
            super().handle_exit(sig, frame)

    return Server(
        uvicorn.Config(
            app,
            access_log=False,
            log_config=None,  # the application logs requests itself
            server_header=False,
            timeout_graceful_shutdown=round(settings.grace_seconds),
        )
    )


def _server_url(host: str, sock: socket.socket) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{sock.getsockname()[1]}"


@contextmanager
def _publish_for_operator(settings: Settings, sock: socket.socket) -> Iterator[str | None]:
    """Let commands on this machine reach the server on SQLite, whose database they cannot use.

    Yields:
        The token of the operator; None on PostgreSQL.
    """
    if not settings.on_sqlite:
        yield None
        return
    local_host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    with publish_operator_access(settings.data, _server_url(local_host, sock)) as access:
        yield access.token
