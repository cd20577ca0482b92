"""Jobs, and what happens to them."""

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
from r2rise_service.storage.rows import StoreConflict, event_info, job_info, page_of, utc_now
from r2rise_service.storage.tables import Event, Job

_VERSION = select(Job.id, Job.version).where(
    Job.id == bindparam("job_id"), Job.owner == bindparam("owner")
)
"""Made once, as it is asked with every request about a job."""

_ENDED_KEPT = 2048


class JobStore:
    """Jobs and their events."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ended = _EndedJobs()

    def add(
        self,
        new: NewJob,
        *,
        idempotency: tuple[str, str] | None = None,
        max_live: int | None = None,
    ) -> tuple[JobInfo, bool]:
        """Store a job as `queued`, with its first `job.status` event and what it is based on.

        Args:
            new: The job.
            idempotency: Key that the owner sent and digest of the body. The same key and body
                within 24 hours returns the job that was stored then.
            max_live: How many live jobs the owner may have, this one included.

        Returns:
            The job, and whether it is new.

        Raises:
            IdempotencyKeyReused: When the key was used with another body.
            TooManyLive: When the owner has as many live jobs already.
            StoreConflict: When its dataset, or a job that it is based on, is not there any more.
        """
        with self._database.writing() as session:
            self._database.lock_owner(session, new.owner)
            if idempotency is not None:
                earlier = job_queries.remembered(session, new.owner, idempotency)
                if earlier is not None:
                    return job_info(earlier), False
                job_queries.forget_old_keys(session, utc_now())
            job_queries.check_live(session, new.owner, max_live)
            job = job_queries.store_job(session, new, idempotency)
            own = KINDS[new.kind].takes_baselines
            for part, source in enumerate(new.sources):
                store_source(session, job, part, source, with_baselines=own)
            session.flush()
            return job_info(job), True

    def replayed(self, owner: str, idempotency: tuple[str, str]) -> JobInfo | None:
        """Return the job that an Idempotency-Key made in the last 24 hours.

        Raises:
            IdempotencyKeyReused: When the key was used with another body.
        """
        with self._database.reading() as session:
            earlier = job_queries.remembered(session, owner, idempotency)
            return None if earlier is None else job_info(earlier)

    def get(self, owner: str, job_id: str) -> JobInfo | None:
        """Return one of the owner's jobs."""
        with self._database.reading() as session:
            rows = session.execute(_VERSION, {"job_id": job_id, "owner": owner})
            found = self._ended.of(session, [(row.id, row.version) for row in rows])
            return found[0] if found else None

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
        """Return a page of the owner's jobs, newest first (keyset pages).

        Raises:
            ValueError: When the token is none that a page gave.
        """
        statement = select(Job.id, Job.version).where(Job.owner == owner)
        if status is not None:
            statement = statement.where(Job.status == status)
        if dataset_id is not None:
            statement = statement.where(Job.dataset_id == dataset_id)
        if label is not None:
            statement = statement.where(job_queries.has_label(self._database.dialect, *label))
        with self._database.reading() as session:
            shown, following = page_of(session, statement, Job.id, page_size, page_token)
            jobs = self._ended.of(session, [(row.id, row.version) for row in shown])
            return JobPage(data=tuple(jobs), next_page_token=following)

    def change(
        self, owner: str, job_id: str, changes: dict[str, Any], *, version: int | None = None
    ) -> JobInfo | None:
        """Change name, labels or priority.

        Raises:
            StoreConflict: When a version is given and the job's is another.
        """
        with self._database.writing() as session:
            job = job_queries.locked(session, job_id, owner)
            if job is None:
                return None
            if version is not None and version != job.version:
                raise StoreConflict(
                    f"Job {job_id} was changed meanwhile: expected version {version}, it has "
                    f"{job.version}. Read it again and decide anew."
                )
            job_queries.change(job, changes)
            session.flush()
            return job_info(job)

    def remove(self, owner: str, job_id: str) -> bool:
        """Remove an ended job with its records and events; False when there is none.

        Raises:
            StoreConflict: While it is live.
        """
        with self._database.writing() as session:
            job = job_queries.locked(session, job_id, owner)
            if job is None:
                return False
            job_queries.check_ended(job)
            session.delete(job)
            return True

    def remove_ended(self, before: datetime, *, at_most: int = 100) -> dict[str, str | None]:
        """Remove jobs that ended before a time, with their records and events.

        Args:
            before: The time.
            at_most: How many in one transaction; ask again until none is left.

        Returns:
            Ids of the removed jobs, and the content that each was about.
        """
        with self._database.writing() as session:
            return job_queries.remove_ended(session, before, at_most)

    def forget_old_keys(self, now: datetime) -> None:
        """Forget the Idempotency-Keys that are a day old."""
        with self._database.writing() as session:
            job_queries.forget_old_keys(session, now)

    def totals(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return how many jobs have each status, and how many of all retrainings have each."""
        with self._database.reading() as session:
            return job_queries.totals(session)

    def live(self) -> list[JobInfo]:
        """Return the live jobs of all owners, older first."""
        with self._database.reading() as session:
            return [job_info(job) for job in session.scalars(job_queries.live())]

    def start(self, job_id: str) -> JobInfo | None:
        """Let a queued job run, or count the work of a running one anew: a server takes it up.

        Returns:
            The job, or None when it is in another state (nothing happened then).
        """
        with self._database.writing() as session:
            job = job_queries.locked(session, job_id)
            if job is None or job.status not in ("queued", "running"):
                return None
            if job.status == "queued":
                job_queries.move_on(session, job, "running", "", None)
            job_queries.count_anew(job)
            session.flush()
            return job_info(job)

    def retry(self, owner: str, job_id: str, *, max_live: int | None = None) -> JobInfo | None:
        """Queue an ended job again.

        Returns:
            The job, or None when there is none.

        Raises:
            StoreConflict: While it is live.
            TooManyLive: When the owner has as many live jobs already.
        """
        with self._database.writing() as session:
            self._database.lock_owner(session, owner)
            job = job_queries.locked(session, job_id, owner)
            if job is None:
                return None
            job_queries.check_ended(job)
            job_queries.check_live(session, owner, max_live)
            job_queries.move_on(session, job, "queued", "Tried again.", None)
            return job_info(job)

    def grow_total(self, job_id: str, total: int) -> None:
        """Let a job ask for more retrainings than it did; never for fewer."""
        with self._database.writing() as session:
            job = job_queries.locked(session, job_id)
            if job is not None:
                job.total = max(job.total, total)

    def settle(self, job_id: str, study: Study) -> None:
        """Give a running job the amount of training that was chosen for its study."""
        with self._database.writing() as session:
            job = job_queries.locked(session, job_id)
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
        """Move a job on, with a `job.status` event (and `job.error` where there is an error).

        `started_at` is set at the first `running`, `finished_at` at an ended state and cleared
        when a job is queued again. The rate counts from the newest `running`.

        Returns:
            The job, or None when its state is not one of `only_from` (nothing happened then).
        """
        with self._database.writing() as session:
            job = job_queries.locked(session, job_id)
            if job is None or job.status not in only_from:
                return None
            job_queries.move_on(session, job, status, reason, error)
            return job_info(job)

    def events(self, job_id: str, *, after: int = 0, limit: int = 500) -> list[JobEvent]:
        """Return events of a job with a higher number, in order."""
        own = select(Event).where(Event.job_id == job_id, Event.id > after)
        with self._database.reading() as session:
            events = session.scalars(own.order_by(Event.id).limit(limit))
            return [event_info(event) for event in events]


class _EndedJobs:
    """Keeps what is shown of ended jobs: lists show the same ones again and again.

    Their rows are read again only at another version.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, JobInfo] = OrderedDict()

    def of(self, session: Session, versions: Sequence[tuple[str, int]]) -> list[JobInfo]:
        """Return jobs by their ids and present versions, in this order."""
        with self._lock:
            found = {
                job_id: known
                for job_id, version in versions
                if (known := self._known.get(job_id)) is not None and known.version == version
            }
        missing = [job_id for job_id, _ in versions if job_id not in found]
        if missing:
            rows = session.scalars(select(Job).where(Job.id.in_(missing)))
            read = {row.id: job_info(row) for row in rows}
            self._keep(read)
            found |= read
        return [found[job_id] for job_id, _ in versions if job_id in found]

    def _keep(self, read: dict[str, JobInfo]) -> None:
        ended = {job_id: info for job_id, info in read.items() if not info.is_live}
        with self._lock:
            self._known.update(ended)
            while len(self._known) > _ENDED_KEPT:
                self._known.popitem(last=False)
