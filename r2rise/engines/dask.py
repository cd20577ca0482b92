"""Shards run on the worker processes of a local Dask cluster."""

import contextlib
import functools
import logging
import multiprocessing
import signal
import threading
from collections.abc import Iterator

from r2rise.algorithms import TrainsMany, make_algorithm
from r2rise.algorithms.registry import require
from r2rise.demonstrations import Demonstrations
from r2rise.errors import R2RiseError
from r2rise.files import cache_folder
from r2rise.isolation import IsolatedRetrainer
from r2rise.ledger import Record
from r2rise.retraining import (
    Retrains,
    Shard,
    keep_going,
    pack,
    unpack_retrainer,
)
from r2rise.study import Study

SHARDS_PER_WORKER = 3
DEATHS_ALLOWED = 3
"""Workers that may die on a shard before it is done in child processes."""

_NO_GUARD = (
    "Worker processes did not start. Each of them imports your script first: put the call under "
    "if __name__ == '__main__': there."
)


class DaskEngine:
    """Runs shards on a local cluster of one-thread worker processes, over TLS on 127.0.0.1.

    Args:
        n_workers: Worker processes.
    """

    def __init__(self, n_workers: int) -> None:
        require("distributed", "Running on worker processes", "dask")
        import dask
        from distributed import Client, LocalCluster, Security, as_completed

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
        self._finished = as_completed([], loop=self._client.loop)
        self._shards: dict[str, tuple[Shard, bool]] = {}
        self._n_submitted = 0

    def start(self, study: Study, demonstrations: Demonstrations) -> None:
        """Unpack the demonstrations for the workers to memory-map."""
        self._packed = pack(study, demonstrations.unpack(cache_folder()))
        self._time_limit = study.execution.time_limit
        # a black box that ends its process must not take a worker, and what that holds, with it
        black_box = not isinstance(make_algorithm(study.algorithm), TrainsMany)
        self._isolated = black_box or self._time_limit is not None

    def submit(self, shard: Shard) -> None:
        """Take on a shard."""
        self._submit(shard, isolated=self._isolated)

    def _submit(self, shard: Shard, *, isolated: bool) -> None:
        key = f"shard-{self._n_submitted}"
        self._n_submitted += 1
        self._shards[key] = shard, isolated
        limit = self._time_limit
        future = self._client.submit(
            run_packed, self._packed, shard, isolated, limit, key=key, pure=False
        )
        self._finished.add(future)

    def results(self) -> Iterator[list[Record]]:
        """Yield the records of each shard as it finishes.

        A shard on which workers died is done once more in child processes, so that only the
        retraining that kills its process fails.
        """
        from distributed.scheduler import KilledWorker

        for future in self._finished:
            shard, isolated = self._shards.pop(future.key)
            try:
                yield future.result()
            except KilledWorker:
                if not isolated:
                    self._submit(shard, isolated=True)
                    continue
                reason = f"worker_died: {DEATHS_ALLOWED} workers died; out of memory?"
                yield shard.failed(reason)

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


def run_packed(
    packed: bytes, shard: Shard, isolated: bool, time_limit: float | None
) -> list[Record]:
    """Run a shard in a worker process, or in a child of it."""
    retrainer: Retrains = _isolated(packed, time_limit) if isolated else unpack_retrainer(packed)
    return retrainer.run(shard, keep_going)


@functools.lru_cache(maxsize=1)
def _isolated(packed: bytes, time_limit: float | None) -> IsolatedRetrainer:
    return IsolatedRetrainer(packed, unpack_retrainer(packed), time_limit)
