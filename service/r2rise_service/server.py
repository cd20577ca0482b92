"""The server: what runs in one process, what starts first and what stops last."""

import ipaddress
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

from r2rise.errors import InputError, R2RiseError
from r2rise_service.settings import Settings

if TYPE_CHECKING:
    import uvicorn

    from r2rise_service.queue.reconciler import Reconciler
    from r2rise_service.storage import Store
    from r2rise_service.storage.files import DatasetFiles


class AlreadyRunning(R2RiseError):
    """Another process has this data folder."""


def serve(settings: Settings, *, ready: Callable[[str], None]) -> None:
    """Run the server until Ctrl-C or SIGTERM.

    Args:
        settings: What the operator decided.
        ready: Is told the URL when requests are answered.

    Raises:
        AlreadyRunning: When another server has this data folder.
        InputError: When the address cannot be listened on, or needs keys and there are none.
    """
    from r2rise.engines.pool import DaskPool
    from r2rise_service.queue.reconciler import Reconciler
    from r2rise_service.storage.files import DatasetFiles

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        suppress(KeyboardInterrupt),
        opened(settings) as store,
        _listening(settings, store) as sock,
    ):
        files = DatasetFiles(settings.datasets, shared=not settings.on_sqlite)
        reconciler = Reconciler(
            store, files, lambda: DaskPool(settings.workers), keep_days=settings.keep_days
        )
        reconciler.start()
        try:
            _server(settings, store, files, reconciler, ready).run(sockets=[sock])
        finally:
            reconciler.stop(settings.grace_seconds)


@contextmanager
def opened(settings: Settings) -> Iterator["Store"]:
    """Open the store of a data folder, newest schema, for this process alone.

    Raises:
        AlreadyRunning: When another process has it.
    """
    from filelock import FileLock, Timeout

    from r2rise_service.storage import Store

    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(settings.data / "server.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise AlreadyRunning(
            f"A server is running on {settings.data}. Stop it first (Ctrl-C), or name another "
            "folder with --data."
        ) from None
    with lock, closing(Store(settings.database_url)) as store:
        store.migrate()
        yield store


@contextmanager
def _listening(settings: Settings, store: "Store") -> Iterator[socket.socket]:
    host, port = settings.host, settings.port
    if not _is_loopback(host) and not store.keys():
        raise InputError(
            f"Listening on {host} needs API keys, or anyone could use this server. Make one with "
            f"`r2rise keys create --data {settings.data}`, or listen on 127.0.0.1."
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


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _server(
    settings: Settings,
    store: "Store",
    files: "DatasetFiles",
    reconciler: "Reconciler",
    ready: Callable[[str], None],
) -> "uvicorn.Server":
    import uvicorn

    from r2rise_service.api.app import create_app

    app = create_app(settings, store, files, reconciler)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started and sockets:
                port = sockets[0].getsockname()[1]
                host = f"[{settings.host}]" if ":" in settings.host else settings.host
                ready(f"http://{host}:{port}")

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            app.state.context.stopping.set()  # open event streams would hold up the shutdown
            super().handle_exit(sig, frame)

    return Server(
        uvicorn.Config(
            app,
            log_level="warning",
            timeout_graceful_shutdown=round(settings.grace_seconds),
        )
    )
