"""Worker processes for a Dask scheduler, restarted when they are killed or lose the scheduler."""

import asyncio
import logging
import signal
from typing import Any

from r2rise.run.engines.cluster import (
    CONNECT_SECONDS,
    WORKER_NICE,
    Scheduler,
    isolated_starts,
    reason_of,
)
from r2rise.run.engines.worker_process import WorkerProcess

_RETRY_SECONDS = 1.0
_CLOSE_SECONDS = 1.0
"""A worker that has not ended after this time is killed."""

_START_SECONDS = 60.0

logger = logging.getLogger(__name__)


def run(scheduler: Scheduler, n_workers: int) -> None:
    """Run one-thread worker processes for a scheduler until SIGTERM or Ctrl-C.

    They need no registration: the scheduler gives them tasks once they are connected. While the
    scheduler cannot be reached, they wait for it.

    Args:
        scheduler: The scheduler to connect to.
        n_workers: Number of worker processes.
    """
    with isolated_starts():
        asyncio.run(_run(scheduler, n_workers))


async def _run(scheduler: Scheduler, n_workers: int) -> None:
    stopping = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stopping.set)
    security = scheduler.security()
    workers = [
        asyncio.create_task(_Worker(scheduler, security, number + 1).run())
        for number in range(n_workers)
    ]
    await stopping.wait()
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


class _Worker:
    """One worker process, with the nanny that restarts it when it was killed."""

    def __init__(self, scheduler: Scheduler, security: Any, number: int) -> None:
        self._address, self._security, self._number = scheduler.address, security, number
        self._trouble = ""

    async def run(self) -> None:
        """Work whenever the scheduler can be reached; ends only by cancellation."""
        while True:
            try:
                await self._check_scheduler()
                await self._work()
                self._log(f"the scheduler at {self._address} is gone")
            except (OSError, RuntimeError) as error:  # lost while the worker started
                self._log_trouble(error)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _check_scheduler(self) -> None:
        """Check that the scheduler answers.

        Raises:
            OSError: When it does not answer.
        """
        from distributed import Security
        from distributed.comm.core import connect

        tls = (self._security or Security()).get_connection_args("worker")
        comm = await connect(self._address, timeout=CONNECT_SECONDS, **tls)
        await comm.close()

    async def _work(self) -> None:
        """Work until the scheduler is lost."""
        from distributed import Nanny
        from distributed.comm.addressing import get_address_host
        from distributed.utils import get_ip

        nanny = Nanny(
            self._address,
            nthreads=1,
            memory_limit=0,
            host=get_ip(get_address_host(self._address)),  # otherwise it listens on all networks
            security=self._security,
            dashboard_address="127.0.0.1:0",  # status pages: any port, only for this machine
            death_timeout=_START_SECONDS,
            silence_logs=logging.CRITICAL,
            plugins=(WorkerProcess(WORKER_NICE),),
        )
        try:
            await nanny
            self._log(f"ready, at {nanny.worker_address}")
            self._trouble = ""
            await nanny.finished()
        finally:
            await nanny.close(timeout=_CLOSE_SECONDS)

    def _log_trouble(self, error: Exception) -> None:
        """Log an error, unless the last one was the same."""
        trouble = reason_of(error)
        if trouble != self._trouble:
            self._trouble = trouble
            self._log(f"waiting for the scheduler at {self._address}: {trouble}")

    def _log(self, event: str) -> None:
        logger.info(event, extra={"worker": self._number})
