"""The reconciler: looks what the store lacks, has it done, and writes what came of it.

It is the only one that moves jobs on, also among several processes: it holds a lock. Everything it
knows is in the store: after any crash it, or another, looks again and goes on with what is missing.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import NamedTuple

from r2rise.errors import NotReady, R2RiseError, StudyFailed
from r2rise.results.training_check import TrainingCheck
from r2rise.run.engines.cluster import SchedulerLost
from r2rise.run.engines.pool import DaskPool
from r2rise.run.engines.submitted import ShardResult
from r2rise_service.models import JobInfo
from r2rise_service.queue.admission import admitted
from r2rise_service.queue.expiry import remove_expired
from r2rise_service.queue.scheduling import next_to_submit, rank_at_workers, to_take_up
from r2rise_service.queue.work import JobWork, clear_flags
from r2rise_service.storage import Store
from r2rise_service.storage.files import DatasetFiles
from r2rise_service.storage.rows import utc_now

logger = logging.getLogger(__name__)

LOCK = "reconciler"
_STANDBY_SECONDS = 0.5
"""How often a process looks whether it is to take over, or tries again."""

_NEWS_SECONDS = 1.0
"""How often jobs are looked at: another process may have accepted or changed some."""

_EXPIRY_SECONDS = 300.0
"""How often old jobs are looked for."""

_LOOK_SECONDS = 0.2
_JOBS_AT_ONCE = 8
"""Jobs whose demonstrations are held open; the others wait their turn, or for idle workers."""


class Load(NamedTuple):
    """What a reconciler has in hand.

    Attributes:
        reconciles: Whether it moves jobs on; of several processes, one does.
        workers: Worker processes that it reaches.
        shards: Shards that they have.
    """

    reconciles: bool
    workers: int
    shards: int


class Reconciler:
    """Does the work of live jobs on worker processes, in a thread of its own.

    Of several on one database one works, and the others stand by: when it ends, however that
    happens, another takes over.

    Args:
        store: State.
        files: Demonstrations.
        make_pool: Starts or reaches worker processes; called again when they are lost.
        keep_days: Days after which ended jobs are deleted; None keeps them.
    """

    def __init__(
        self,
        store: Store,
        files: DatasetFiles,
        make_pool: Callable[[], DaskPool],
        *,
        keep_days: float | None = None,
    ) -> None:
        self._store, self._files, self._make_pool = store, files, make_pool
        self._keep_days = keep_days
        self._lock = store.exclusive(LOCK)
        self._works: dict[str, JobWork] = {}
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._pool: DaskPool | None = None
        self._expires_at = 0.0
        self._trouble = "workers have not started yet"
        self._thread = threading.Thread(target=self._run, name="reconciler", daemon=True)

    def start(self) -> None:
        """Start the thread; workers start in it."""
        self._news.set()
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End the thread and the workers; what is in flight is done again by the next server."""
        self._stopping.set()
        self._news.set()
        self._thread.join(seconds)

    def wake(self) -> None:
        """Look for new and changed jobs now."""
        self._news.set()

    def cancel(self, job_id: str) -> None:
        """Look at a job that is to be canceled now."""
        logger.info("job is to be canceled", extra={"job": job_id})
        self._news.set()

    def health(self) -> dict[str, str]:
        """Return `engine`: `ok`, or `degraded: why`."""
        return {"engine": f"degraded: {self._trouble}" if self._trouble else "ok"}

    def load(self) -> Load:
        """Return what it has to do with, and to do; nothing while it stands by."""
        pool = self._pool
        return Load(False, 0, 0) if pool is None else Load(True, pool.n_workers, pool.n_in_flight)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._lock.acquire(wait=False):
                    self._lead()
                self._trouble = ""  # another process does the work
            except SchedulerLost as error:
                self._trouble = str(error)
                logger.warning("%s", error)
            except Exception as error:  # whatever it is: the store knows where to go on
                self._trouble = str(error) or type(error).__name__
                logger.exception("the reconciler has to start again")
            self._works.clear()
            self._stopping.wait(_STANDBY_SECONDS)
        self._lock.release()

    def _lead(self) -> None:
        """Do the work, until the server stops or the right to do it is lost."""
        logger.info("this process moves jobs on")
        clear_flags(self._files.folder)
        with closing(self._make_pool()) as pool:
            self._pool = pool
            try:
                while self._lock.is_held() and not self._stopping.is_set():
                    if pool.is_short:
                        raise SchedulerLost("worker processes did not come back; starting others")
                    self._trouble = pool.trouble
                    self._expire()
                    self._step(pool)
            finally:
                self._pool = None

    def _expire(self) -> None:
        if time.monotonic() >= self._expires_at:
            self._expires_at = time.monotonic() + _EXPIRY_SECONDS
            remove_expired(self._store, self._files, utc_now(), keep_days=self._keep_days)

    def _step(self, pool: DaskPool) -> None:
        """Look for jobs, fill the window, take in what came back; repeat until news comes."""
        self._news.clear()
        self._look_at_jobs(pool)
        until = time.monotonic() + _NEWS_SECONDS
        while not self._news.is_set() and time.monotonic() < until:
            self._ask_idle()
            self._fill(pool)
            done = pool.next(_LOOK_SECONDS)
            if done is not None:
                self._take_in(pool, done)
            elif not self._works:
                self._news.wait(_LOOK_SECONDS)

    def _look_at_jobs(self, pool: DaskPool) -> None:
        for rank, job in enumerate(to_take_up(self._store.jobs.live())):
            work = self._works.get(job.id)
            if job.status == "canceling":
                self._cancel(pool, job, work)
            elif work is not None:
                work.priority = job.priority
            elif rank < _JOBS_AT_ONCE or self._has_idle_workers(pool):
                self._admit(job)

    def _has_idle_workers(self, pool: DaskPool) -> bool:
        """Say whether all that can be submitted is, and workers are left."""
        to_come = any(work.has_more or work.is_idle for work in self._works.values())
        return not to_come and pool.n_in_flight < pool.n_workers

    def _admit(self, job: JobInfo) -> None:
        """Start or resume a job; what cannot be started fails with its reason."""
        try:
            work = admitted(job, self._store, self._files)
        except (R2RiseError, OSError) as error:
            self._fail(job.id, str(error))
            return
        self._store.jobs.start(job.id)
        self._works[job.id] = work

    def _cancel(self, pool: DaskPool, job: JobInfo, work: JobWork | None) -> None:
        if work is None:
            self._store.jobs.set_status(job.id, "canceled", only_from=("canceling",))
        elif not work.canceled:
            work.cancel()
            pool.cancel(job.id)

    def _fill(self, pool: DaskPool) -> None:
        """Submit shards, as many as are worth having submitted."""
        while pool.n_in_flight < pool.window:
            work = next_to_submit(self._works.values())
            if work is None:
                return
            own, shard = work.take_shard()
            pool.submit(work.id, own, shard, priority=rank_at_workers(work))
            logger.debug("shard submitted", extra={"job": work.id, "shard": shard.name})

    def _take_in(self, pool: DaskPool, done: ShardResult) -> None:
        facts = {"job": done.name, "shard": done.shard.name, "records": len(done.records)}
        logger.debug("shard back", extra=facts)
        work = self._works.get(done.name)
        if work is None:
            return  # removed meanwhile
        part, records = work.part_of(done.shard), done.records
        times = work.take_in(done.shard, records)
        if self._store.records.add(work.id, records, part=part, times=times) is None:
            work.cancel()  # the job is gone
        try:
            if not work.canceled and work.may_stop():
                work.cancel()
        except (StudyFailed, NotReady) as error:
            work.cancel()
            self._fail(work.id, str(error))
        if work.canceled:
            pool.cancel(work.id)

    def _ask_idle(self) -> None:
        """Let jobs of which nothing is left to do ask on; those that need no more end."""
        for work in [work for work in self._works.values() if work.is_idle]:
            if not work.canceled:
                self._ask(work)
            if work.is_idle:
                self._end(work)

    def _ask(self, work: JobWork) -> None:
        total = work.total
        try:
            work.ask()
        except R2RiseError as error:
            self._fail(work.id, str(error))
        except Exception as error:  # of one job only: the others go on
            logger.exception("job %s could not be asked", work.id)
            self._fail(work.id, f"internal error: {type(error).__name__}")
        if work.total > total:
            self._store.jobs.grow_total(work.id, work.total)

    def _end(self, work: JobWork) -> None:
        del self._works[work.id]
        work.close()
        if self._store.jobs.set_status(work.id, "canceled", only_from=("canceling",)) is None:
            if isinstance(work.result, TrainingCheck):
                self._store.jobs.settle(
                    work.id, work.result.study
                )  # it is admitted again, for its map
            else:
                self._store.results.finish(
                    work.id, None if work.result is None else work.result.to_json()
                )
        self._news.set()

    def _fail(self, job_id: str, reason: str) -> None:
        self._store.jobs.set_status(
            job_id, "failed", only_from=("queued", "running"), reason=reason, error=reason
        )
