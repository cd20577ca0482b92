"""Shards run on the worker processes of a local Dask cluster."""

import functools
import logging
from collections.abc import Iterator
from typing import Any

from r2rise.algorithms.registry import require
from r2rise.demonstrations import Demonstrations
from r2rise.files import cache_folder
from r2rise.isolation import IsolatedRetrainer
from r2rise.ledger import Record
from r2rise.retraining import (
    Assignments,
    Retrains,
    Shard,
    keep_going,
    pack,
    run_shard,
    unpack_retrainer,
)
from r2rise.study import Study

SHARDS_PER_WORKER = 3
DEATHS_ALLOWED = 3
"""Workers that may die on a shard before its retrainings count as failed."""


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
        self._shards: dict[str, Shard] = {}
        self._n_submitted = 0

    def start(self, study: Study, demonstrations: Demonstrations) -> None:
        """Unpack the demonstrations for the workers to memory-map."""
        self._packed = pack(study, demonstrations.unpack(cache_folder()))
        self._time_limit = study.execution.time_limit
        self._assignments = Assignments(study, demonstrations.segments(study.masking))

    def submit(self, shard: Shard) -> None:
        """Take on a shard."""
        key = f"shard-{self._n_submitted}"
        self._n_submitted += 1
        self._shards[key] = shard
        future = self._client.submit(
            run_packed, self._packed, self._time_limit, shard, key=key, pure=False
        )
        self._finished.add(future)

    def results(self) -> Iterator[list[Record]]:
        """Yield the records of each shard as it finishes."""
        for future in self._finished:
            yield self._records(future, self._shards.pop(future.key))

    def _records(self, future: Any, shard: Shard) -> list[Record]:
        from distributed.scheduler import KilledWorker

        try:
            records: list[Record] = future.result()
        except KilledWorker:
            reason = f"worker_died: {DEATHS_ALLOWED} workers died on this shard; out of memory?"
            return [self._assignments.failed(shard.kind, index, reason) for index in shard.indices]
        return records

    def close(self) -> None:
        """End the workers."""
        self._client.close()
        self._cluster.close()


def run_packed(packed: bytes, time_limit: float | None, shard: Shard) -> list[Record]:
    """Run a shard in a worker process."""
    retrainer: Retrains = unpack_retrainer(packed)
    if time_limit is not None:
        retrainer = _isolated(packed, time_limit)
    return run_shard(retrainer, shard, keep_going)


@functools.lru_cache(maxsize=1)
def _isolated(packed: bytes, time_limit: float) -> IsolatedRetrainer:
    return IsolatedRetrainer(packed, unpack_retrainer(packed).assignments, time_limit)
