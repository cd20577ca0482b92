"""A Dask plugin of the worker processes: imported only where Dask is used."""

import os
import sys

from distributed import Worker, WorkerPlugin

SAFE_PATH = "PYTHONSAFEPATH"
"""Keeps Python from putting the working directory, or a script's folder, first on its path."""


class WorkerProcess(WorkerPlugin):
    """Lowers the priority of a worker process below that of other processes, and tidies up.

    Args:
        nice: How much lower its priority is than that of the process that starts it.
    """

    name = "worker-process"

    def __init__(self, nice: int) -> None:
        self._nice = nice
        self._is_users_choice = sys.flags.safe_path

    def setup(self, worker: Worker) -> None:  # noqa: ARG002  (Dask's signature)
        """Set up the process.

        The priority is lowered before the process starts threads: they inherit it. `SAFE_PATH` was
        only for the start of the process, and not for programs that the user's code starts.
        """
        os.nice(self._nice)
        if not self._is_users_choice:
            os.environ.pop(SAFE_PATH, None)
