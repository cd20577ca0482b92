"""Runs the shards of one study on the worker processes of a local Dask cluster."""

from collections.abc import Iterator

from r2rise.data.demonstrations import Demonstrations
from r2rise.files import cache_folder
from r2rise.ledger.record import Record
from r2rise.run.engines.pool import DaskPool
from r2rise.run.engines.shards import Work
from r2rise.run.shards import Shard
from r2rise.study.study import Study

_NAME = "study"


class DaskEngine:
    """Runs shards on a pool that it starts and ends.

    Args:
        n_workers: Number of worker processes.
    """

    def __init__(self, n_workers: int) -> None:
        self._pool = DaskPool(n_workers)
        self.window = self._pool.window

    def start(self, study: Study, demonstrations: Demonstrations) -> None:
        """Unpack the demonstrations into files that the workers memory-map."""
        self._work = Work.of(study, demonstrations, cache_folder())

    def submit(self, shard: Shard) -> None:
        """Submit a shard to the pool."""
        self._pool.submit(_NAME, self._work, shard)

    def results(self) -> Iterator[list[Record]]:
        """Yield the records of each shard as it finishes."""
        while self._pool.n_in_flight:
            result = self._pool.next()
            if result is not None:
                yield result.records

    def close(self) -> None:
        """End the workers."""
        self._pool.close()
