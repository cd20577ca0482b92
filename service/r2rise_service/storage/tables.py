"""Database tables, the same on SQLite and PostgreSQL. Every change here needs a migration."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class UtcTime(TypeDecorator[datetime]):
    """Timezone-aware UTC time. SQLite stores no time zone, so it is added again on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _: Dialect) -> datetime | None:
        """Convert a time to UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _: Dialect) -> datetime | None:
        """Return a stored time as timezone-aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_Id = String(64)
_LargeKey = BigInteger().with_variant(Integer, "sqlite")  # SQLite increments INTEGER keys only


class Table(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(
        naming_convention={  # only constraints with names can be changed by migrations
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  (read once by SQLAlchemy)
        datetime: UtcTime(),
        float: Double(),
        dict[str, Any]: JSON(),
        list[int]: JSON(),
        list[str]: JSON(),
        list[dict[str, Any]]: JSON(),
    }


class ApiKey(Table):
    """An API key, identified by the digest of its secret."""

    __tablename__ = "keys"

    id: Mapped[str] = mapped_column(_Id, primary_key=True)
    owner: Mapped[str]
    name: Mapped[str]
    scopes: Mapped[list[str]]
    digest: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class Dataset(Table):
    """Demonstrations of one owner; their file is named by the hash of its content."""

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("owner", "sha256"), Index(None, "sha256"))

    id: Mapped[str] = mapped_column(_Id, primary_key=True)
    owner: Mapped[str]
    sha256: Mapped[str]
    lengths: Mapped[list[int]]
    obs_shape: Mapped[list[int]]
    act_shape: Mapped[list[int]]
    details: Mapped[dict[str, Any]] = mapped_column("metadata")
    created_at: Mapped[datetime]


class Job(Table):
    """A job with its counters.

    `version` grows with every change of the row. `lengths` holds the frames of each demonstration,
    and stays when the dataset is deleted; it may be NULL for jobs that are older than this column.
    `resumed_at` is the time of the last start, and `done_since` the number of retrainings since
    then.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index(None, "owner", "id"),
        Index(None, "status"),
        Index(None, "dataset_id"),
        Index(None, "sha256"),
    )

    id: Mapped[str] = mapped_column(_Id, primary_key=True)
    owner: Mapped[str]
    kind: Mapped[str]
    status: Mapped[str]
    status_reason: Mapped[str] = mapped_column(Text)
    name: Mapped[str]
    labels: Mapped[dict[str, Any]]
    warnings: Mapped[list[dict[str, Any]]]
    priority: Mapped[int]
    dataset_id: Mapped[str] = mapped_column(_Id)  # outlives the dataset, so no foreign key
    sha256: Mapped[str | None]
    lengths: Mapped[list[int] | None] = mapped_column(deferred=True)  # loaded only on access
    study: Mapped[dict[str, Any]]
    study_hash: Mapped[str]
    based_on: Mapped[list[str]]
    repetitions: Mapped[int | None]
    total: Mapped[int]
    done: Mapped[int]
    failed: Mapped[int]
    revision: Mapped[int]
    version: Mapped[int] = mapped_column()
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    resumed_at: Mapped[datetime | None]
    done_since: Mapped[int]
    finished_at: Mapped[datetime | None]

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012  (read once by SQLAlchemy)


def _job_column(*, primary_key: bool = False, index: bool = False) -> Any:
    """Return a column that refers to a job; its rows are deleted with the job."""
    reference = ForeignKey("jobs.id", ondelete="CASCADE")
    return mapped_column(_Id, reference, primary_key=primary_key, index=index)


class BasedOn(Table):
    """A map that a job is based on, as it was when the job was accepted.

    `part` is the number of the map, and of the learner whose study the map holds.
    """

    __tablename__ = "based_on"

    job_id: Mapped[str] = _job_column(primary_key=True)
    part: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    source_id: Mapped[str] = mapped_column(_Id, index=True)  # outlives its job: no foreign key
    name: Mapped[str] = mapped_column(Text)
    map: Mapped[str] = mapped_column(Text)


class JobResult(Table):
    """Result of a job other than a map: JSON, as the library writes it."""

    __tablename__ = "results"

    job_id: Mapped[str] = _job_column(primary_key=True)
    result: Mapped[str] = mapped_column(Text)


class ComparisonRow(Table):
    """A comparison of the maps of two jobs, which may have been deleted."""

    __tablename__ = "comparisons"

    id: Mapped[str] = mapped_column(_Id, primary_key=True)
    owner: Mapped[str] = mapped_column(index=True)
    a: Mapped[str] = mapped_column(_Id)
    b: Mapped[str] = mapped_column(_Id)
    comparison: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]


class RecordRow(Table):
    """The record of one retraining; `task` is the digest of all that the retraining depends on."""

    __tablename__ = "records"

    job_id: Mapped[str] = _job_column(primary_key=True)
    part: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    task: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    index: Mapped[int]
    packed_mask: Mapped[bytes] = mapped_column(LargeBinary)
    training_seed: Mapped[int] = mapped_column(BigInteger)
    evaluation_seed: Mapped[int] = mapped_column(BigInteger)
    amount: Mapped[int] = mapped_column(BigInteger)
    returns: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[str] = mapped_column(String(8))
    reason: Mapped[str] = mapped_column(Text)
    seconds: Mapped[float]
    attempts: Mapped[int]
    evaluation_seconds: Mapped[float]


class BlockTime(Table):
    """Seconds of work until a block of the design was complete.

    The row whose `block` is `ledger.WORK_SO_FAR` holds the seconds of work so far.
    """

    __tablename__ = "marks"

    job_id: Mapped[str] = _job_column(primary_key=True)
    block: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    elapsed: Mapped[float]


class Event(Table):
    """Something that happened to a job; ids are never reused."""

    __tablename__ = "events"
    __table_args__ = (Index(None, "job_id", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(_LargeKey, primary_key=True)
    job_id: Mapped[str] = _job_column()
    type: Mapped[str] = mapped_column(String(32))
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class Idempotency(Table):
    """An Idempotency-Key that an owner sent, and the job that was created for it."""

    __tablename__ = "idempotency"

    owner: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]
    job_id: Mapped[str] = _job_column(index=True)
    created_at: Mapped[datetime]
