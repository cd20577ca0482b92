"""What queries share: ids, errors, pages, and from rows to what is shown of them."""

import functools
import hashlib
import json
import re
import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, Select
from sqlalchemy.orm import InstrumentedAttribute, Session

from r2rise.design.tasks import Task
from r2rise.results.comparison import Comparison
from r2rise.study.study import Study
from r2rise_service.keys import KeyInfo
from r2rise_service.models import (
    ENDED,
    ComparisonInfo,
    DatasetInfo,
    JobEvent,
    JobInfo,
    JobProgress,
)
from r2rise_service.storage.tables import ApiKey, ComparisonRow, Dataset, Event, Job


class StoreConflict(Exception):
    """The state of something does not allow what was asked; the text says why."""


class IdempotencyKeyReused(StoreConflict):
    """An Idempotency-Key was used with another request."""


class TooManyLive(StoreConflict):
    """An owner has as many live jobs as allowed."""


def new_id(prefix: str) -> str:
    """Return an id whose order is that of time: nanoseconds and 64 random bits, as hex."""
    return f"{prefix}_{time.time_ns():016x}{secrets.token_hex(8)}"


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def storable(text: str) -> str:
    """Return a text that any database takes: what an algorithm says can hold anything."""
    return text.encode(errors="replace").decode().replace("\0", "?")


def page_of(
    session: Session,
    statement: Select[*tuple[Any, ...]],
    ids: InstrumentedAttribute[str],
    size: int,
    token: str | None,
) -> tuple[Sequence[Row[*tuple[Any, ...]]], str | None]:
    """Return the rows of a page, newest first, and the token of the next where there is more.

    The token of the next page is the id of the last row before it.

    Args:
        session: An open transaction.
        statement: What is listed; its first column are the ids.
        ids: The column that orders the list.
        size: Rows of a page.
        token: What the page before gave; None for the first one.

    Raises:
        ValueError: When the token is none that a page gave.
    """
    if token is not None:
        prefix = {"datasets": "ds", "jobs": "job"}[str(ids.class_.__tablename__)]
        if not re.fullmatch(rf"{prefix}_[0-9a-f]{{32}}", token):
            raise ValueError(
                f"Expected the next_page_token of an earlier page, got {token[:80]!r}: "
                f"leave it out to start with the first page."
            )
        statement = statement.where(ids < token)
    rows = session.execute(statement.order_by(ids.desc()).limit(size + 1)).all()
    shown = rows[:size]
    return shown, shown[-1][0] if len(rows) > size else None


def comparison_info(row: ComparisonRow) -> ComparisonInfo:
    """Return what is shown of a comparison."""
    return ComparisonInfo(
        id=row.id,
        a=row.a,
        b=row.b,
        created_at=row.created_at,
        comparison=Comparison.from_json(row.comparison),
    )


def task_digest(task: Task) -> str:
    """Return what a record is known by within its part of a job: 32 hexadecimal digits."""
    kind, index, mask, training_seed, evaluation_seed, amount = task.key
    text = f"{kind} {index} {mask.hex()} {training_seed} {evaluation_seed}"
    if amount:
        text += f" {amount}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def key_info(key: ApiKey) -> KeyInfo:
    """Return what is shown of a key."""
    return KeyInfo.model_validate(key, from_attributes=True)


def event_info(event: Event) -> JobEvent:
    """Return what is shown of an event."""
    return JobEvent.model_validate(event, from_attributes=True)


def dataset_info(dataset: Dataset) -> DatasetInfo:
    """Return what is shown of a dataset."""
    return DatasetInfo(
        id=dataset.id,
        sha256=dataset.sha256,
        n_demonstrations=len(dataset.lengths),
        n_frames=sum(dataset.lengths),
        lengths=tuple(dataset.lengths),
        obs_shape=tuple(dataset.obs_shape),
        act_shape=tuple(dataset.act_shape),
        metadata=dataset.details,
        created_at=dataset.created_at,
    )


def job_info(job: Job) -> JobInfo:
    """Return what is shown of a job."""
    names = JobInfo.model_fields.keys() - {"study", "progress", "links"}
    fields = {name: getattr(job, name) for name in names}
    return JobInfo(**fields, study=study_of(job), progress=progress_of(job))


def study_of(job: Job) -> Study:
    """Return the study of a job."""
    return _parsed(json.dumps(job.study))


@functools.lru_cache(maxsize=256)
def _parsed(study: str) -> Study:
    return Study.resolved(json.loads(study))


def progress_of(job: Job) -> JobProgress:
    """Return how far a job is; its rate is that from its newest start to now or to its end."""
    progress = JobProgress(done=job.done, total=job.total, failed=job.failed)
    if job.resumed_at is None or job.done_since == 0:
        return progress
    seconds = ((job.finished_at or utc_now()) - job.resumed_at).total_seconds()
    if seconds <= 0:  # the clock was set back
        return progress
    rate = job.done_since / seconds
    left = None if job.status in ENDED else max(job.total - job.done, 0) / rate
    return progress.model_copy(update={"per_second": rate, "eta_seconds": left})
