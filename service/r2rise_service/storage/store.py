"""The store: every query of the service, on SQLite or PostgreSQL.

All methods are safe to call from several threads. What does not exist, or belongs to another
owner, is None: the two cannot be told apart from outside.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from r2rise.ledger import Ledger, Record
from r2rise.study import Study
from r2rise_service.models import (
    DatasetInfo,
    EventType,
    JobEvent,
    JobInfo,
    JobKind,
    JobPage,
    JobStatus,
    KeyInfo,
    Labels,
    Scope,
)


class Conflict(Exception):
    """The state of something does not allow what was asked; the text says why."""


@dataclass(frozen=True)
class NewDataset:
    """What is stored of demonstrations that were uploaded."""

    owner: str
    sha256: str
    lengths: tuple[int, ...]
    obs_shape: tuple[int, ...]
    act_shape: tuple[int, ...]
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NewJob:
    """A job that was accepted; `total` counts the retrainings it asks for, baselines included."""

    owner: str
    kind: JobKind
    dataset_id: str
    study: Study
    total: int
    name: str = ""
    labels: Labels = field(default_factory=dict)
    priority: int = 0


class Store:
    """Keys, datasets, jobs, records and events.

    Args:
        url: `sqlite:///path` or `postgresql+psycopg://...`.
    """

    def __init__(self, url: str) -> None:
        raise NotImplementedError

    def migrate(self) -> None:
        """Bring the database to the newest schema (Alembic)."""

    def is_current(self) -> bool:
        """Whether the database can be reached and has the newest schema."""

    def close(self) -> None:
        """Close all connections."""

    # keys

    def add_key(self, owner: str, name: str, scopes: Sequence[Scope], digest: str) -> KeyInfo:
        """Store a key by the digest of its secret."""

    def keys(self) -> list[KeyInfo]:
        """Return all keys that are not revoked."""

    def revoke_key(self, key_id: str) -> bool:
        """Revoke a key; False when there is none of this id."""

    def key_of(self, digest: str) -> KeyInfo | None:
        """Return the key whose secret has this digest, unless it was revoked."""

    # datasets

    def add_dataset(self, new: NewDataset) -> tuple[DatasetInfo, bool]:
        """Store a dataset, or return the owner's existing one of this content.

        Returns:
            The dataset, and whether it is new.
        """

    def dataset(self, owner: str, dataset_id: str) -> DatasetInfo | None:
        """Return one of the owner's datasets."""

    def datasets(self, owner: str, *, sha256: str | None = None) -> list[DatasetInfo]:
        """Return the owner's datasets, newest first."""

    def remove_dataset(self, owner: str, dataset_id: str) -> DatasetInfo | None:
        """Remove one of the owner's datasets.

        Raises:
            Conflict: While a live job uses it.
        """

    def content_is_used(self, sha256: str) -> bool:
        """Whether any owner has a dataset, or any job is about, this content."""

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

    def job(self, owner: str, job_id: str) -> JobInfo | None:
        """Return one of the owner's jobs."""

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

    def change_job(
        self, owner: str, job_id: str, changes: dict[str, Any], *, version: int | None = None
    ) -> JobInfo | None:
        """Change name, labels or priority.

        Raises:
            Conflict: When a version is given and the job's is another.
        """

    def remove_job(self, owner: str, job_id: str) -> bool:
        """Remove an ended job with its records and events; False when there is none.

        Raises:
            Conflict: While it is live.
        """

    def n_live_jobs(self, owner: str) -> int:
        """Return how many of the owner's jobs are live."""

    def live_jobs(self) -> list[JobInfo]:
        """Return the live jobs of all owners: higher priority first, then older first."""

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

    # records

    def add_records(self, job_id: str, records: Iterable[Record]) -> JobInfo | None:
        """Store records and count them, in one transaction, with a `job.progress` event.

        A record of a task that is there already is left as it is, unless that one failed.
        `revision` becomes the number of design records, with a `job.importance` event when it grew.

        Returns:
            The job, or None when there is no such job any more.
        """

    def ledger(self, job_id: str, lengths: Sequence[int], n_segments: int) -> Ledger:
        """Return the records of a job as a ledger, with the elapsed times of its blocks."""

    def mark(self, job_id: str, block: int, elapsed: float) -> None:
        """Note after how many seconds of work a block of the design was complete."""

    # events

    def add_event(self, job_id: str, type_: EventType, data: dict[str, Any]) -> JobEvent:
        """Store an event."""

    def events(self, job_id: str, *, after: int = 0, limit: int = 500) -> list[JobEvent]:
        """Return events of a job with a higher number, in order."""
