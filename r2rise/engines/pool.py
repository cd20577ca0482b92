"""A pool of worker processes on a local Dask cluster, for the shards of one study or several."""

import contextlib
import functools
import logging
import multiprocessing
import queue
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from r2rise.algorithms import Progress, TrainsMany, make_algorithm
from r2rise.algorithms.registry import require
from r2rise.demonstrations import Demonstrations
from r2rise.errors import Canceled, R2RiseError
from r2rise.isolation import IsolatedRetrainer
from r2rise.ledger import Record
from r2rise.retraining import Retrains, Shard, pack, unpack_retrainer
from r2rise.study import Study

SHARDS_PER_WORKER = 3
DEATHS_ALLOWED = 3
"""Workers that may die on a shard before it is done in child processes."""

ISOLATED_TRIES = 5
"""How often that is tried: a worker that dies then was not killed by what it ran."""

_FLAG_SECONDS = 0.5
"""How often a running shard looks whether it was canceled."""

_STUDIES_HELD = 8

_NO_GUARD = (
    "Worker processes did not start. Each of them imports your script first: put the call under "
    "if __name__ == '__main__': there."
)


@dataclass(frozen=True)
class Work:
    """One study's shards: what a worker needs, and where it looks whether to stop.

    Attributes:
        packed: `retraining.pack` of the study and its unpacked demonstrations.
        isolated: Whether retrainings run in a child process of the worker.
        time_limit: Seconds that one retraining may take, or None.
        flag: File whose existence cancels the work, or None.
    """

    packed: bytes
    isolated: bool
    time_limit: float | None
    flag: Path | None = None

    @classmethod
    def of(
        cls, study: Study, demonstrations: Demonstrations, cache: Path, flag: Path | None = None
    ) -> "Work":
        """Unpack the demonstrations for the workers to memory-map."""
        time_limit = study.execution.time_limit
        # a black box that ends its process must not take a worker, and what that holds, with it
        black_box = not isinstance(make_algorithm(study.algorithm), TrainsMany)
        packed = pack(study, demonstrations.unpack(cache))
        return cls(packed, black_box or time_limit is not None, time_limit, flag)


class Done(NamedTuple):
    """What came of a shard: its records, or none where it was canceled."""

    name: str
    shard: Shard
    records: list[Record]


class _Submitted(NamedTuple):
    name: str
    work: Work
    shard: Shard
    priority: int
    future: Any
    n_given_up: int


class DaskPool:
    """One-thread worker processes on a local cluster, over TLS on 127.0.0.1.

    Args:
        n_workers: Worker processes.

    Attributes:
        n_workers: Those that were there when `is_healthy` last looked.
    """

    def __init__(self, n_workers: int) -> None:
        self.n_workers = 0
        require("distributed", "Running on worker processes", "dask")
        import dask
        from distributed import Client, LocalCluster, Security

        dask.config.set({"distributed.scheduler.allowed-failures": DEATHS_ALLOWED - 1})
        self.window = SHARDS_PER_WORKER * n_workers
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            raise R2RiseError(_NO_GUARD)
        with _ctrl_c_stays_here(), _start_explained():
            self._cluster = LocalCluster(
                n_workers=n_workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address=None,
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # its status pages: any port
                security=Security.temporary(),
                memory_limit=0,
                silence_logs=logging.CRITICAL,
            )
        self._client = Client(self._cluster, set_as_default=False)
        self._finished: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._submitted: dict[str, _Submitted] = {}
        self._n_submitted = 0

    def submit(self, name: str, work: Work, shard: Shard, *, priority: int = 0) -> None:
        """Take on a shard.

        Args:
            name: Whose shard it is.
            work: What workers need.
            shard: What is to be done.
            priority: Higher goes first.
        """
        self._submit(name, work, shard, priority)

    def _submit(
        self, name: str, work: Work, shard: Shard, priority: int, n_given_up: int = 0
    ) -> None:
        isolated = work.isolated or n_given_up > 0
        key = f"shard-{self._n_submitted}"
        self._n_submitted += 1
        future = self._client.submit(
            run_packed, work, shard, isolated, key=key, pure=False, priority=priority
        )
        self._submitted[key] = _Submitted(name, work, shard, priority, future, n_given_up)
        future.add_done_callback(lambda done: self._finished.put(done.key))

    @property
    def n_in_flight(self) -> int:
        """Shards that have not come back yet."""
        return len(self._submitted)

    def next(self, timeout: float | None = None) -> Done | None:
        """Wait for a shard to come back; None after `timeout` seconds without one.

        A shard on which workers died is done again in child processes, so that only the
        retraining that kills its process fails.
        """
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker

        try:
            key = self._finished.get(timeout=timeout)
        except queue.Empty:
            return None
        name, work, shard, priority, future, n_given_up = self._submitted.pop(key)
        try:
            records: list[Record] = future.result()
        except (Canceled, FutureCancelledError):
            records = []
        except KilledWorker:
            if n_given_up < ISOLATED_TRIES:
                self._submit(name, work, shard, priority, n_given_up + 1)
                return self.next(timeout)
            records = shard.failed(
                f"worker_died: {DEATHS_ALLOWED * (1 + ISOLATED_TRIES)} workers died; out of memory?"
            )
        return Done(name, shard, records)

    def cancel(self, name: str) -> None:
        """Give up the shards of a name that wait; those that run look at their flag."""
        for submitted in list(self._submitted.values()):
            if submitted.name == name and not submitted.future.done():
                submitted.future.cancel()

    @property
    def is_healthy(self) -> bool:
        """Whether the scheduler can be reached and has a worker."""
        self.n_workers = (
            len(self._client.scheduler_info(n_workers=-1)["workers"])
            if self._client.status == "running"
            else 0
        )
        return self.n_workers > 0

    def close(self) -> None:
        """End the workers."""
        self._client.close()
        self._cluster.close()


@contextlib.contextmanager
def _start_explained() -> Iterator[None]:
    """Say why worker processes did not start."""
    try:
        yield
    except RuntimeError as error:
        raise R2RiseError(f"{_NO_GUARD} ({error})") from None


@contextlib.contextmanager
def _ctrl_c_stays_here() -> Iterator[None]:
    """Let processes started in this block ignore Ctrl-C: this process ends them in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def run_packed(work: Work, shard: Shard, isolated: bool) -> list[Record]:
    """Run a shard in a worker process, or in a child of it.

    Raises:
        Canceled: When the flag of the work is set.
    """
    retrainer: Retrains = (
        _isolated(work.packed, work.time_limit) if isolated else unpack_retrainer(work.packed)
    )
    return retrainer.run(shard, _until_flagged(work.flag))


def _until_flagged(flag: Path | None) -> Progress:
    """Return a progress function that raises `Canceled` once the flag exists."""
    looked = -_FLAG_SECONDS

    def progress(_fraction: float) -> None:
        nonlocal looked
        now = time.monotonic()
        if flag is not None and now - looked >= _FLAG_SECONDS:
            looked = now
            if flag.exists():
                raise Canceled("told to stop")

    return progress


@functools.lru_cache(maxsize=_STUDIES_HELD)
def _isolated(packed: bytes, time_limit: float | None) -> IsolatedRetrainer:
    return IsolatedRetrainer(packed, unpack_retrainer(packed), time_limit)
