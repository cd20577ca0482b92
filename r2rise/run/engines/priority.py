"""A Dask plugin of the worker processes: imported only where Dask is used."""

import os

from distributed import Worker, WorkerPlugin


class LowPriority(WorkerPlugin):
    """Lowers the priority of a worker process below that of other processes.

    Args:
        nice: How much lower its priority is than that of the process that starts it.
    """

    name = "low-priority"

    def __init__(self, nice: int) -> None:
        self._nice = nice

    def setup(self, worker: Worker) -> None:  # noqa: ARG002  (Dask's signature)
        """Lower the priority before the process starts threads: they inherit it."""
        os.nice(self._nice)
