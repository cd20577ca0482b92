"""The reconciler: finds what the store lacks, has it done, and stores the results.

Only the reconciler moves jobs on. Of several processes, the one that holds a lock does it. All that
it knows is in the store: after a crash it, or another one, reads the store again and goes on with
what is missing.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import NamedTuple

from r2rise.errors import NotReady, R2RiseError, StudyFailed
from r2rise.results.training_check import TrainingCheck
from r2rise.run.engines.cluster import SchedulerLost, end_starting
from r2rise.run.engines.pool import DaskPool
from r2rise.run.engines.submitted import ShardResult
from r2rise_service.models import JobInfo
from r2rise_service.queue.admission import make_job_work
from r2rise_service.queue.expiry import remove_expired
from r2rise_service.queue.scheduling import admission_order, next_to_submit, worker_priority
from r2rise_service.queue.work import JobWork, clear_cancel_flags
from r2rise_service.storage import Store
from r2rise_service.storage.files import DatasetFiles
from r2rise_service.storage.rows import utc_now

logger = logging.getLogger(__name__)

LOCK = "reconciler"
_STANDBY_SECONDS = 0.5
"""How often a process on standby tries to take over, and how long it waits after an error."""

_REFRESH_SECONDS = 1.0
"""How often jobs are read from the store: another process may have accepted or changed some."""

_EXPIRY_SECONDS = 300.0
"""How often expired jobs are removed."""

_POLL_SECONDS = 0.2
_JOBS_AT_ONCE = 8
"""Jobs whose demonstrations are held open; the others wait their turn, or for idle workers."""


class Load(NamedTuple):
    """What a reconciler is working on.

    Attributes:
        reconciles: Whether it moves jobs on; of several processes, one does.
        workers: Number of worker processes that it reaches.
        shards: Number of shards that they have.
    """

    reconciles: bool
    workers: int
    shards: int


class Reconciler:
    """Does the work of live jobs on worker processes, in a separate thread.

    Of several reconcilers on one database one works, and the others stand by. When it ends, for
    whatever reason, another takes over.

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
        self._lock = store.exclusive_lock(LOCK)
        self._job_works: dict[str, JobWork] = {}
        self._wake_event = threading.Event()
        self._stopping = threading.Event()
        self._pool: DaskPool | None = None
        self._next_expiry, self._is_starting = 0.0, False
        self._trouble = "workers have not started yet"
        self._thread = threading.Thread(target=self._run, name="reconciler", daemon=True)

    def start(self) -> None:
        """Start the thread; it starts the workers."""
        self._wake_event.set()
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End the thread and the workers; the next server repeats what is in flight.

        Args:
            seconds: How long to wait for the thread.
        """
        self._stopping.set()
        self._wake_event.set()
        if self._is_starting:  # workers that run nothing yet
            end_starting()
        self._thread.join(0 if self._is_starting else seconds)

    def wake(self) -> None:
        """Look for new and changed jobs now."""
        self._wake_event.set()

    def cancel(self, job_id: str) -> None:
        """Look now at a job whose status became `canceling`."""
        logger.info("cancellation was requested", extra={"job": job_id})
        self._wake_event.set()

    def health(self) -> dict[str, str]:
        """Return `engine`: `ok`, or `degraded: ` and the reason."""
        return {"engine": f"degraded: {self._trouble}" if self._trouble else "ok"}

    def load(self) -> Load:
        """Return what this process works on; all zero while it stands by."""
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
            except Exception as error:  # any error: the store knows where to go on
                self._trouble = str(error) or type(error).__name__
                if not self._stopping.is_set():  # which may end workers while they start
                    logger.exception("the reconciler failed and starts again")
            # Shards in flight went with the pool: whoever leads next admits all jobs again.
            self._job_works.clear()
            self._stopping.wait(_STANDBY_SECONDS)
        self._lock.release()

    def _lead(self) -> None:
        """Do the work until the server stops or the lock is lost."""
        logger.info("this process runs the queue")
        clear_cancel_flags(self._files.folder)
        self._is_starting = True
        with closing(self._make_pool()) as pool:
            self._pool, self._is_starting = pool, False
            try:
                # On PostgreSQL the lock is lost with its connection, and another process takes it.
                # As it is checked before each step, two lead at once for one step at most.
                while self._lock.is_held() and not self._stopping.is_set():
                    if pool.is_short:
                        raise SchedulerLost("worker processes did not come back; starting others")
                    self._trouble = pool.trouble
                    self._remove_expired()
                    self._step(pool)
            finally:
                self._pool = None

    def _remove_expired(self) -> None:
        if time.monotonic() >= self._next_expiry:
            self._next_expiry = time.monotonic() + _EXPIRY_SECONDS
            remove_expired(self._store, self._files, utc_now(), keep_days=self._keep_days)

    def _step(self, pool: DaskPool) -> None:
        """Read the jobs, then submit and collect shards until it is time to read them again."""
        self._wake_event.clear()  # before reading: a call of `wake` meanwhile is not lost
        self._refresh_jobs(pool)
        until = time.monotonic() + _REFRESH_SECONDS
        while not self._wake_event.is_set() and time.monotonic() < until:
            self._advance_idle_jobs()
            self._fill_window(pool)
            finished = pool.next(_POLL_SECONDS)
            if finished is not None:
                self._store_shard(pool, finished)
            elif not self._job_works:
                self._wake_event.wait(_POLL_SECONDS)

    def _refresh_jobs(self, pool: DaskPool) -> None:
        """Read the live jobs: cancel or admit them, and update their priorities."""
        for rank, job in enumerate(admission_order(self._store.jobs.live())):
            job_work = self._job_works.get(job.id)
            if job.status == "canceling":
                self._cancel(pool, job, job_work)
            elif job_work is not None:
                job_work.priority = job.priority
            # By rank among all live jobs, not by the number admitted: the first ones by priority
            # never wait for others to end.
            elif rank < _JOBS_AT_ONCE or self._has_idle_workers(pool):
                self._admit(job)

    def _has_idle_workers(self, pool: DaskPool) -> bool:
        """Say whether all that can be submitted is, and workers are left."""
        more_to_submit = any(
            job_work.has_more or job_work.is_idle for job_work in self._job_works.values()
        )
        return not more_to_submit and pool.n_in_flight < pool.n_workers

    def _admit(self, job: JobInfo) -> None:
        """Start or resume a job; one that cannot be started fails with the reason."""
        try:
            job_work = make_job_work(job, self._store, self._files)
        except (R2RiseError, OSError) as error:
            self._fail(job.id, str(error))
            return
        self._store.jobs.start(job.id)
        self._job_works[job.id] = job_work

    def _cancel(self, pool: DaskPool, job: JobInfo, job_work: JobWork | None) -> None:
        if job_work is None:
            self._store.jobs.set_status(job.id, "canceled", only_from=("canceling",))
        elif not job_work.canceled:
            # It stays `canceling` until its shards are back, so that what they did is stored.
            job_work.cancel()
            pool.cancel(job.id)

    def _fill_window(self, pool: DaskPool) -> None:
        """Submit shards until the pool has as many as it can use.

        The window is small: shards that wait here still follow changes of priority.
        """
        while pool.n_in_flight < pool.window:
            job_work = next_to_submit(self._job_works.values())
            if job_work is None:
                return
            learner_work, shard = job_work.take_shard()
            pool.submit(job_work.id, learner_work, shard, priority=worker_priority(job_work))
            logger.debug("shard submitted", extra={"job": job_work.id, "shard": shard.name})

    def _store_shard(self, pool: DaskPool, finished: ShardResult) -> None:
        """Store the records of a shard that came back, and end its job if that is decided."""
        fields = {
            "job": finished.name,
            "shard": finished.shard.name,
            "records": len(finished.records),
        }
        logger.debug("shard back", extra=fields)
        job_work = self._job_works.get(finished.name)
        if job_work is None:
            return  # removed meanwhile
        part, records = job_work.part_of(finished.shard), finished.records
        times = job_work.add_records(finished.shard, records)
        # Records are stored even if the job is canceled or has failed: a retry starts from them.
        if self._store.records.add(job_work.id, records, part=part, times=times) is None:
            job_work.cancel()  # the job was deleted
        try:
            if not job_work.canceled and job_work.may_stop():
                job_work.cancel()  # it has enough: its status is set once its shards are back
        except (StudyFailed, NotReady) as error:
            job_work.cancel()
            self._fail(job_work.id, str(error))
        if job_work.canceled:
            pool.cancel(job_work.id)

    def _advance_idle_jobs(self) -> None:
        """Ask the questions of idle jobs again; those that still have nothing to do are done."""
        for job_work in [work for work in self._job_works.values() if work.is_idle]:
            if not job_work.canceled:
                self._ask(job_work)
            if job_work.is_idle:
                self._finish(job_work)

    def _ask(self, job_work: JobWork) -> None:
        total = job_work.total
        try:
            job_work.ask()
        except R2RiseError as error:
            self._fail(job_work.id, str(error))
        except Exception as error:  # an error of one job must not stop the others
            logger.exception("the question of job %s failed", job_work.id)
            self._fail(job_work.id, f"internal error: {type(error).__name__}")
        if job_work.total > total:
            self._store.jobs.grow_total(job_work.id, job_work.total)

    def _finish(self, job_work: JobWork) -> None:
        """Drop the work of a job that has nothing left to do, and store its result.

        Each change of status holds only from the expected one: a job that has failed is not
        `running`, so it stays `failed`.
        """
        del self._job_works[job_work.id]
        job_work.close()
        result = job_work.result
        if self._store.jobs.set_status(job_work.id, "canceled", only_from=("canceling",)) is None:
            if isinstance(result, TrainingCheck):
                # The job stays live: with its amount of training set, it is admitted for its map.
                self._store.jobs.set_study(job_work.id, result.study)
            else:
                text = None if result is None else result.to_json()
                self._store.results.finish(job_work.id, text)
        self._wake_event.set()  # another job can be admitted

    def _fail(self, job_id: str, reason: str) -> None:
        self._store.jobs.set_status(
            job_id, "failed", only_from=("queued", "running"), reason=reason, error=reason
        )
