"""What worker processes have beside Dask's own: imported only where Dask is used."""

import os

from distributed import Worker, WorkerPlugin


class LowPriority(WorkerPlugin):
    """Lets a worker process give way to others of its machine.

    Args:
        nice: How much lower its priority is than that of the process that starts it.
    """

    name = "low-priority"

    def __init__(self, nice: int) -> None:
        self._nice = nice

    def setup(self, worker: Worker) -> None:  # noqa: ARG002  (Dask's signature)
        """Lower the priority before any thread is started, which inherits it."""
        os.nice(self._nice)
