"""Storage of jobs and their events."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from r2rise.study.study import Study
from r2rise_service.kinds import KINDS
from r2rise_service.models import JobEvent, JobInfo, JobPage, JobStatus
from r2rise_service.storage import job_queries
from r2rise_service.storage.database import Database
from r2rise_service.storage.job_queries import NewJob
from r2rise_service.storage.results import store_source
from r2rise_service.storage.rows import StoreConflict, event_info, job_info, read_page, utc_now
from r2rise_service.storage.tables import Event, Job

_VERSION_QUERY = select(Job.id, Job.version).where(
    Job.id == bindparam("job_id"), Job.owner == bindparam("owner")
)
"""Built once: every request about a job executes it."""

_MAX_CACHED = 2048


class JobStore:
    """Stores jobs and their events."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ended_jobs = _EndedJobCache()

    def add(
        self,
        new_job: NewJob,
        *,
        idempotency: tuple[str, str] | None = None,
        max_live: int | None = None,
    ) -> tuple[JobInfo, bool]:
        """Store a job as `queued`, with its first `job.status` event and the maps it is based on.

        Args:
            new_job: The job.
            idempotency: Key that the owner sent, and digest of the request body. If both were used
                within the last 24 hours, the job that was stored then is returned.
            max_live: How many live jobs the owner may have, this one included; None for no limit.

        Returns:
            The job, and whether it is new.

        Raises:
            IdempotencyKeyReused: When the key was used with another body.
            TooManyLive: When the owner already has `max_live` live jobs.
            StoreConflict: When its dataset, or a job that it is based on, does not exist any more.
        """
        with self._database.writing() as session:
            self._database.lock_owner(session, new_job.owner)
            if idempotency is not None:
                existing = job_queries.find_idempotent_job(session, new_job.owner, idempotency)
                if existing is not None:
                    return job_info(existing), False
                job_queries.forget_old_keys(session, utc_now())
            job_queries.check_live(session, new_job.owner, max_live)
            job = job_queries.store_job(session, new_job, idempotency)
            with_baselines = KINDS[new_job.kind].reuses_baselines
            for part, source in enumerate(new_job.sources):
                store_source(session, job, part, source, with_baselines=with_baselines)
            session.flush()
            return job_info(job), True

    def find_idempotent(self, owner: str, idempotency: tuple[str, str]) -> JobInfo | None:
        """Return the job that was created for an Idempotency-Key in the last 24 hours.

        Raises:
            IdempotencyKeyReused: When the key was used with another body.
        """
        with self._database.reading() as session:
            job = job_queries.find_idempotent_job(session, owner, idempotency)
            return None if job is None else job_info(job)

    def get(self, owner: str, job_id: str) -> JobInfo | None:
        """Return one of the owner's jobs; None if the owner has none with this id."""
        with self._database.reading() as session:
            rows = session.execute(_VERSION_QUERY, {"job_id": job_id, "owner": owner})
            jobs = self._ended_jobs.read(session, [(row.id, row.version) for row in rows])
            return jobs[0] if jobs else None

    def page(
        self,
        owner: str,
        *,
        status: JobStatus | None = None,
        dataset_id: str | None = None,
        label: tuple[str, str] | None = None,
        page_size: int = 50,
        page_token: str | None = None,
    ) -> JobPage:
        """Return a page of the owner's jobs, newest first (keyset pagination).

        Raises:
            ValueError: When the token is not one that a page returned.
        """
        query = select(Job.id, Job.version).where(Job.owner == owner)
        if status is not None:
            query = query.where(Job.status == status)
        if dataset_id is not None:
            query = query.where(Job.dataset_id == dataset_id)
        if label is not None:
            query = query.where(job_queries.has_label(self._database.dialect, *label))
        with self._database.reading() as session:
            rows, next_token = read_page(session, query, Job.id, page_size, page_token)
            jobs = self._ended_jobs.read(session, [(row.id, row.version) for row in rows])
            return JobPage(data=tuple(jobs), next_page_token=next_token)

    def change(
        self, owner: str, job_id: str, changes: dict[str, Any], *, version: int | None = None
    ) -> JobInfo | None:
        """Change the name, labels or priority of one of the owner's jobs, and return it.

        Raises:
            StoreConflict: When a version is given and the job has another.
            ValueError: When `changes` names another field.
        """
        with self._database.writing() as session:
            job = job_queries.lock_job(session, job_id, owner)
            if job is None:
                return None
            if version is not None and version != job.version:
                raise StoreConflict(
                    f"Job {job_id} has changed in the meantime: expected version {version}, but it "
                    f"has {job.version}. Get it again and retry."
                )
            job_queries.change(job, changes)
            session.flush()
            return job_info(job)

    def remove(self, owner: str, job_id: str) -> bool:
        """Remove an ended job with its records and events; return False when it does not exist.

        Raises:
            StoreConflict: When the job is live.
        """
        with self._database.writing() as session:
            job = job_queries.lock_job(session, job_id, owner)
            if job is None:
                return False
            job_queries.check_ended(job)
            session.delete(job)
            return True

    def remove_ended(self, before: datetime, *, at_most: int = 100) -> dict[str, str | None]:
        """Remove jobs that ended before a time, with their records and events.

        It removes `at_most` jobs in one transaction; call it again until none is removed.

        Returns:
            For each removed job, by id, the hash of its demonstrations' content.
        """
        with self._database.writing() as session:
            return job_queries.remove_ended(session, before, at_most)

    def forget_old_keys(self, now: datetime) -> None:
        """Remove the Idempotency-Keys that are older than 24 hours."""
        with self._database.writing() as session:
            job_queries.forget_old_keys(session, now)

    def count_by_status(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return the number of jobs by status, and of retrainings that are ok or failed."""
        with self._database.reading() as session:
            return job_queries.count_by_status(session)

    def live(self) -> list[JobInfo]:
        """Return the live jobs of all owners, oldest first."""
        with self._database.reading() as session:
            return [job_info(job) for job in session.scalars(job_queries.select_live())]

    def start(self, job_id: str) -> JobInfo | None:
        """Mark a job as `running` when a server starts or resumes it; its rate counts from now.

        Returns:
            The job, or None when it is neither queued nor running (then nothing has changed).
        """
        with self._database.writing() as session:
            job = job_queries.lock_job(session, job_id)
            if job is None or job.status not in ("queued", "running"):
                return None
            if job.status == "queued":
                job_queries.change_status(session, job, "running", "", None)
            job_queries.restart_rate(job)
            session.flush()
            return job_info(job)

    def retry(self, owner: str, job_id: str, *, max_live: int | None = None) -> JobInfo | None:
        """Queue an ended job again.

        Returns:
            The job, or None when the owner has no job with this id.

        Raises:
            StoreConflict: When the job is live.
            TooManyLive: When the owner already has `max_live` live jobs.
        """
        with self._database.writing() as session:
            self._database.lock_owner(session, owner)
            job = job_queries.lock_job(session, job_id, owner)
            if job is None:
                return None
            job_queries.check_ended(job)
            job_queries.check_live(session, owner, max_live)
            job_queries.change_status(session, job, "queued", "Tried again.", None)
            return job_info(job)

    def grow_total(self, job_id: str, total: int) -> None:
        """Raise the total number of retrainings of a job; it is never lowered."""
        with self._database.writing() as session:
            job = job_queries.lock_job(session, job_id)
            if job is not None:
                job.total = max(job.total, total)

    def set_study(self, job_id: str, study: Study) -> None:
        """Replace the study of a running job by the one with the chosen amount of training."""
        with self._database.writing() as session:
            job = job_queries.lock_job(session, job_id)
            if job is not None and job.status == "running":
                job.study = study.model_dump(mode="json")
                job.study_hash = study.study_hash

    def set_status(
        self,
        job_id: str,
        status: JobStatus,
        *,
        only_from: Sequence[JobStatus],
        reason: str = "",
        error: str | None = None,
    ) -> JobInfo | None:
        """Change the status of a job, with a `job.status` event, and `job.error` for an error.

        `started_at` is set at the first `running`. `finished_at` is set when the job ends, and
        cleared when it is queued again. The rate counts from the last `running`.

        Returns:
            The job, or None when its status is not one of `only_from` (then nothing has changed).
        """
        with self._database.writing() as session:
            job = job_queries.lock_job(session, job_id)
            if job is None or job.status not in only_from:
                return None
            job_queries.change_status(session, job, status, reason, error)
            return job_info(job)

    def events(self, job_id: str, *, after: int = 0, limit: int = 500) -> list[JobEvent]:
        """Return the events of a job with an id above `after`, at most `limit`, in order."""
        query = select(Event).where(Event.job_id == job_id, Event.id > after)
        with self._database.reading() as session:
            events = session.scalars(query.order_by(Event.id).limit(limit))
            return [event_info(event) for event in events]


class _EndedJobCache:
    """Caches the HTTP models of ended jobs, as lists return the same jobs many times.

    An entry is valid for one version of its job; another version is read from the database.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cache: OrderedDict[str, JobInfo] = OrderedDict()

    def read(self, session: Session, versions: Sequence[tuple[str, int]]) -> list[JobInfo]:
        """Return jobs, from the cache or the database, in the given order.

        Args:
            session: An open transaction.
            versions: Ids and current versions of the jobs.
        """
        with self._lock:
            infos = {
                job_id: info
                for job_id, version in versions
                if (info := self._cache.get(job_id)) is not None and info.version == version
            }
        missing_ids = [job_id for job_id, _ in versions if job_id not in infos]
        if missing_ids:
            jobs = session.scalars(select(Job).where(Job.id.in_(missing_ids)))
            missing_infos = {job.id: job_info(job) for job in jobs}
            self._store(missing_infos)
            infos |= missing_infos
        return [infos[job_id] for job_id, _ in versions if job_id in infos]

    def _store(self, infos: dict[str, JobInfo]) -> None:
        ended = {job_id: info for job_id, info in infos.items() if not info.is_live}
        with self._lock:
            self._cache.update(ended)
            while len(self._cache) > _MAX_CACHED:
                self._cache.popitem(last=False)
