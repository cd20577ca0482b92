"""The store: every query of the service, on SQLite or PostgreSQL.

All methods are safe to call from several threads. What does not exist, or belongs to another
owner, is None: the two cannot be told apart from outside.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from r2rise.ledger import Ledger, Record
from r2rise_service.models import (
    DatasetInfo,
    EventType,
    JobEvent,
    JobInfo,
    JobPage,
    JobStatus,
    KeyInfo,
    Scope,
)
from r2rise_service.storage import dataset_queries, job_queries, key_queries, record_queries
from r2rise_service.storage.database import Database, is_newest, migrate
from r2rise_service.storage.new import NewDataset, NewJob
from r2rise_service.storage.rows import Conflict, event_info, job_info
from r2rise_service.storage.tables import Dataset, Event, Job, Key, Mark, RecordRow

__all__ = ["Conflict", "NewDataset", "NewJob", "Store"]


class Store:
    """Keys, datasets, jobs, records and events.

    Args:
        url: `sqlite:///path` or `postgresql+psycopg://...`.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)

    def migrate(self) -> None:
        """Bring the database to the newest schema (Alembic)."""
        migrate(self._database)

    def is_current(self) -> bool:
        """Whether the database can be reached and has the newest schema."""
        with self._database.reading() as session:
            try:
                return is_newest(session.connection())
            except SQLAlchemyError:
                return False

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    # keys

    def add_key(self, owner: str, name: str, scopes: Sequence[Scope], digest: str) -> KeyInfo:
        """Store a key by the digest of its secret."""
        with self._database.writing() as session:
            return key_queries.store_key(session, owner, name, scopes, digest)

    def keys(self) -> list[KeyInfo]:
        """Return all keys that are not revoked."""
        with self._database.reading() as session:
            return key_queries.valid_keys(session)

    def has_keys(self) -> bool:
        """Whether a key was ever made: revoking the last one opens the server to nobody."""
        with self._database.reading() as session:
            return key_queries.any_key(session)

    def revoke_key(self, key_id: str) -> bool:
        """Revoke a key; False when there is none of this id."""
        with self._database.writing() as session:
            return key_queries.revoke(session, key_id)

    def key_of(self, digest: str) -> KeyInfo | None:
        """Return the key whose secret has this digest, unless it was revoked."""
        with self._database.reading() as session:
            found = key_queries.valid_keys(session, Key.digest == digest)
            return found[0] if found else None

    # datasets

    def add_dataset(self, new: NewDataset) -> tuple[DatasetInfo, bool]:
        """Store a dataset, or return the owner's existing one of this content.

        Returns:
            The dataset, and whether it is new.
        """
        with self._database.writing() as session:
            return dataset_queries.store_dataset(session, new)

    def dataset(self, owner: str, dataset_id: str) -> DatasetInfo | None:
        """Return one of the owner's datasets."""
        with self._database.reading() as session:
            found = dataset_queries.find(session, owner, Dataset.id == dataset_id)
            return found[0] if found else None

    def datasets(self, owner: str, *, sha256: str | None = None) -> list[DatasetInfo]:
        """Return the owner's datasets, newest first."""
        conditions = [] if sha256 is None else [Dataset.sha256 == sha256]
        with self._database.reading() as session:
            return dataset_queries.find(session, owner, *conditions)

    def remove_dataset(self, owner: str, dataset_id: str) -> DatasetInfo | None:
        """Remove one of the owner's datasets.

        Raises:
            Conflict: While a live job uses it.
        """
        with self._database.writing() as session:
            return dataset_queries.remove(session, owner, dataset_id)

    def content_is_used(self, sha256: str) -> bool:
        """Whether any owner has a dataset, or any job is about, this content."""
        with self._database.reading() as session:
            return dataset_queries.is_used(session, sha256)

    # jobs

    def add_job(
        self, new: NewJob, *, idempotency: tuple[str, str] | None = None
    ) -> tuple[JobInfo, bool]:
        """Store a job as `queued`, with its first `job.status` event.

        Args:
            new: The job.
            idempotency: Key that the owner sent and digest of the body. The same key and body
                within 24 hours returns the job that was stored then.

        Returns:
            The job, and whether it is new.

        Raises:
            Conflict: When the key was used with another body.
        """
        with self._database.writing() as session:
            if idempotency is not None:
                earlier = job_queries.remembered(session, new.owner, idempotency)
                if earlier is not None:
                    return job_info(earlier), False
            return job_info(job_queries.store_job(session, new, idempotency)), True

    def job(self, owner: str, job_id: str) -> JobInfo | None:
        """Return one of the owner's jobs."""
        with self._database.reading() as session:
            job = session.scalar(select(Job).where(Job.id == job_id, Job.owner == owner))
            return None if job is None else job_info(job)

    def jobs(
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
        statement = select(Job).where(Job.owner == owner)
        if status is not None:
            statement = statement.where(Job.status == status)
        if dataset_id is not None:
            statement = statement.where(Job.dataset_id == dataset_id)
        if label is not None:
            statement = statement.where(job_queries.has_label(self._database.dialect, *label))
        with self._database.reading() as session:
            return job_queries.page(session, statement, page_size, page_token)

    def change_job(
        self, owner: str, job_id: str, changes: dict[str, Any], *, version: int | None = None
    ) -> JobInfo | None:
        """Change name, labels or priority.

        Raises:
            Conflict: When a version is given and the job's is another.
        """
        with self._database.writing() as session:
            job = job_queries.locked(session, job_id, owner)
            if job is None:
                return None
            if version is not None and version != job.version:
                raise Conflict(
                    f"Job {job_id} was changed meanwhile: expected version {version}, it has "
                    f"{job.version}. Read it again and decide anew."
                )
            job_queries.change(job, changes)
            session.flush()
            return job_info(job)

    def remove_job(self, owner: str, job_id: str) -> bool:
        """Remove an ended job with its records and events; False when there is none.

        Raises:
            Conflict: While it is live.
        """
        with self._database.writing() as session:
            job = job_queries.locked(session, job_id, owner)
            if job is None:
                return False
            job_queries.check_ended(job)
            session.delete(job)
            return True

    def n_live_jobs(self, owner: str) -> int:
        """Return how many of the owner's jobs are live."""
        with self._database.reading() as session:
            return job_queries.count_live(session, owner)

    def live_jobs(self) -> list[JobInfo]:
        """Return the live jobs of all owners: higher priority first, then older first."""
        with self._database.reading() as session:
            return [job_info(job) for job in session.scalars(job_queries.live())]

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
        when a job is queued again.

        Returns:
            The job, or None when its state is not one of `only_from` (nothing happened then).
        """
        with self._database.writing() as session:
            job = job_queries.locked(session, job_id)
            if job is None or job.status not in only_from:
                return None
            job_queries.move_on(session, job, status, reason, error)
            return job_info(job)

    # records

    def add_records(self, job_id: str, records: Iterable[Record]) -> JobInfo | None:
        """Store records and count them, in one transaction, with a `job.progress` event.

        A record of a task that is there already is left as it is, unless that one failed.
        `revision` becomes the number of design records, with a `job.importance` event when it grew.

        Returns:
            The job, or None when there is no such job any more.
        """
        came = list(records)
        insert = self._database.insert(RecordRow)
        with self._database.writing() as session:
            job = job_queries.locked(session, job_id)
            if job is None:
                return None
            record_queries.store_records(session, job, came, insert)
            return job_info(job)

    def ledger(self, job_id: str, lengths: Sequence[int], n_segments: int) -> Ledger:
        """Return the records of a job as a ledger, with the elapsed times of its blocks."""
        with self._database.reading() as session:
            job = session.get(Job, job_id)
            if job is None:
                raise Conflict(f"There is no job {job_id}.")
            return record_queries.read_ledger(session, job, lengths, n_segments)

    def mark(self, job_id: str, block: int, elapsed: float) -> None:
        """Note after how many seconds of work a block of the design was complete."""
        insert = self._database.insert(Mark)
        with self._database.writing() as session:
            if job_queries.locked(session, job_id) is not None:
                record_queries.store_mark(session, job_id, block, elapsed, insert)

    # events

    def add_event(self, job_id: str, type_: EventType, data: dict[str, Any]) -> JobEvent:
        """Store an event."""
        with self._database.writing() as session:
            if job_queries.locked(session, job_id) is None:
                raise Conflict(f"There is no job {job_id}.")
            return event_info(job_queries.store_event(session, job_id, type_, data))

    def events(self, job_id: str, *, after: int = 0, limit: int = 500) -> list[JobEvent]:
        """Return events of a job with a higher number, in order."""
        own = select(Event).where(Event.job_id == job_id, Event.id > after)
        with self._database.reading() as session:
            events = session.scalars(own.order_by(Event.id).limit(limit))
            return [event_info(event) for event in events]
