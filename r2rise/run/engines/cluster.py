"""Worker processes: started on this machine, or those of a Dask scheduler."""

import atexit
import contextlib
import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from r2rise.errors import InputError, R2RiseError

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 5
WORKER_NICE = 10
"""How much lower the priority of a service's workers is, so that the server stays responsive."""

_NO_GUARD = (
    "Worker processes did not start. Each of them imports your script first: put the call under "
    "if __name__ == '__main__': there."
)


_QUIET_TRACKER = "ignore:resource_tracker"
"""Keeps multiprocessing's helper process from printing what a process that was ended left open."""


class SchedulerLost(R2RiseError):
    """A Dask scheduler cannot be reached, or was lost with everything submitted to it."""


@dataclass(frozen=True)
class Scheduler:
    """A Dask scheduler, and the TLS files for connecting to it.

    Attributes:
        address: `tls://host:port`, or `tcp://host:port` on a network without untrusted machines.
        ca: Certificate of the authority that signed all certificates; TLS needs all three files.
        cert: Certificate of this process.
        key: Private key of `cert`.

    Raises:
        InputError: When address and files do not fit together, or a file cannot be read.
    """

    address: str
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        files = (self.ca, self.cert, self.key)
        kind = self.address.partition("://")[0]
        if kind not in {"tls", "tcp"} or not self._has_port:
            raise InputError(f"Expected tls://HOST:PORT or tcp://HOST:PORT, got {self.address!r}.")
        if kind == "tls" and None in files:
            raise InputError(f"{self.address} needs three TLS files: ca, cert and key.")
        if kind == "tcp" and files != (None, None, None):
            raise InputError(
                f"{self.address} is not encrypted, but TLS files were given: write tls:// instead."
            )
        for file in filter(None, files):
            if not os.access(file, os.R_OK):
                raise InputError(f"Cannot read {file}: name the TLS files of the scheduler.")

    @property
    def _has_port(self) -> bool:
        with contextlib.suppress(ValueError):
            return urlsplit(self.address).port is not None
        return False

    def security(self) -> Any:
        """Return Dask's `Security`, or None without TLS, with a warning."""
        from distributed import Security

        if self.ca is None:
            logger.warning(
                "%s is not encrypted: anyone who can reach it can run programs here", self.address
            )
            return None
        role_files: dict[str, str] = {}
        for role in ("client", "worker", "scheduler"):
            role_files |= {f"tls_{role}_cert": str(self.cert), f"tls_{role}_key": str(self.key)}
        return Security(require_encryption=True, tls_ca_file=str(self.ca), **role_files)


def connect(scheduler: Scheduler) -> Any:
    """Return a Dask client that is connected to a scheduler.

    Raises:
        SchedulerLost: When it does not answer.
    """
    from distributed import Client

    # the user of the client reports a lost connection, once and in plain words
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    try:
        return Client(
            scheduler.address,
            security=scheduler.security(),
            timeout=CONNECT_SECONDS,
            set_as_default=False,
        )
    except OSError as error:
        raise SchedulerLost(
            f"the Dask scheduler at {scheduler.address} does not answer: {reason_of(error)}"
        ) from None


def reason_of(error: BaseException) -> str:
    """Return why Dask could not connect, without the Dask objects that its message names."""
    text = str(error.__cause__ or error).rpartition(">: ")[2]
    return text or type(error).__name__


def start_local(n_workers: int, *, nice: int = 0, allowed_failures: int) -> Any:
    """Start one-thread worker processes and their scheduler, over TLS on 127.0.0.1.

    Args:
        n_workers: Number of worker processes.
        nice: How much lower than this process's their priority is.
        allowed_failures: Worker deaths on a task after which the scheduler gives it up.

    Raises:
        R2RiseError: When the workers did not start.
    """
    from distributed import LocalCluster, Security

    from r2rise.run.engines.worker_process import WorkerProcess

    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise R2RiseError(_NO_GUARD)
    with _start_errors_explained(), isolated_starts(), _children_ignore_ctrl_c():
        return LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            scheduler_kwargs={
                "dashboard_address": "127.0.0.1:0",  # status pages: any free port
                "allowed_failures": allowed_failures,
            },
            security=Security.temporary(),
            memory_limit=0,
            silence_logs=logging.CRITICAL,
            plugins=(WorkerProcess(nice),),
        )


def end_local(cluster: Any, *, is_busy: bool) -> None:
    """End the workers that `start_local` started; those that are busy are killed.

    Dask would wait for seconds until a busy worker has stopped.
    """
    if is_busy:
        for nanny in cluster.workers.values():
            if nanny.pid:
                os.kill(nanny.pid, signal.SIGKILL)
    cluster.close()


def end_starting() -> None:
    """Kill workers that are still starting when this process ends: Dask would wait for them."""
    from distributed.deploy.spec import close_clusters

    atexit.unregister(close_clusters)
    # Dask warns of processes whose exit status `active_children` reads first.
    logging.getLogger("distributed.process").setLevel(logging.ERROR)
    for child in multiprocessing.active_children():
        child.kill()


@contextlib.contextmanager
def isolated_starts() -> Iterator[None]:
    """Let nannies that are made in this block start workers that ignore the working directory.

    A new Python process looks there first, until it is a worker with the path of this process: a
    `socket.py` beside the data would be run.
    """
    import dask

    from r2rise.run.engines.worker_process import SAFE_PATH

    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"  # for the helpers of multiprocessing
    try:
        # for workers, also those that are started again after the block
        with dask.config.set({f"distributed.nanny.pre-spawn-environ.{SAFE_PATH}": "1"}):
            yield
    finally:
        os.environ.pop(SAFE_PATH)
        if before is not None:
            os.environ[SAFE_PATH] = before


@contextlib.contextmanager
def _start_errors_explained() -> Iterator[None]:
    """Turn the error of a failed start into one that says how to fix the script."""
    try:
        yield
    except RuntimeError as error:
        raise R2RiseError(f"{_NO_GUARD} ({error})") from None


@contextlib.contextmanager
def _children_ignore_ctrl_c() -> Iterator[None]:
    """Let processes started in this block ignore Ctrl-C: this process ends them in order.

    They inherit that this thread, and those it starts, block the signal. Other threads of this
    process see it, and this one sees it after the block.
    """
    if _QUIET_TRACKER not in sys.warnoptions:
        sys.warnoptions.append(_QUIET_TRACKER)
    resource_tracker.ensure_running()  # it unblocks the signal in the thread that starts it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
