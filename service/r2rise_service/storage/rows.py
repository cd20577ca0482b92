"""Shared by the queries: ids, errors, pages, and conversion of rows to HTTP models."""

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
    """The stored state does not allow the request; the message says why."""


class IdempotencyKeyReused(StoreConflict):
    """An Idempotency-Key was reused with another request body."""


class TooManyLive(StoreConflict):
    """An owner already has as many live jobs as allowed."""


def new_id(prefix: str) -> str:
    """Return an id that sorts by time: nanoseconds and 64 random bits, as hexadecimal digits."""
    return f"{prefix}_{time.time_ns():016x}{secrets.token_hex(8)}"


def utc_now() -> datetime:
    """Return the current time, timezone-aware."""
    return datetime.now(UTC)


def storable(text: str) -> str:
    """Return a text that every database accepts, without lone surrogates and null characters.

    Messages of algorithms can hold any character.
    """
    return text.encode(errors="replace").decode().replace("\0", "?")


def read_page(
    session: Session,
    query: Select[*tuple[Any, ...]],
    ids: InstrumentedAttribute[str],
    size: int,
    token: str | None,
) -> tuple[Sequence[Row[*tuple[Any, ...]]], str | None]:
    """Return the rows of a page, newest first, and the token of the next page.

    The token of the next page is the id of the last row of this one; None on the last page.

    Args:
        session: An open transaction.
        query: Selects what is listed; its first column holds the ids.
        ids: The column that orders the list.
        size: Number of rows of a page.
        token: Token that the previous page returned; None for the first page.

    Raises:
        ValueError: When the token is not one that a page returned.
    """
    if token is not None:
        prefix = {"datasets": "ds", "jobs": "job"}[str(ids.class_.__tablename__)]
        if not re.fullmatch(rf"{prefix}_[0-9a-f]{{32}}", token):
            raise ValueError(
                f"Expected the next_page_token of an earlier page, got {token[:80]!r}: "
                f"leave it out to start with the first page."
            )
        query = query.where(ids < token)
    # one row more than the page, to see whether there is a next page
    rows = session.execute(query.order_by(ids.desc()).limit(size + 1)).all()
    page = rows[:size]
    return page, page[-1][0] if len(rows) > size else None


def comparison_info(row: ComparisonRow) -> ComparisonInfo:
    """Convert a comparison to its HTTP model."""
    return ComparisonInfo(
        id=row.id,
        a=row.a,
        b=row.b,
        created_at=row.created_at,
        comparison=Comparison.from_json(row.comparison),
    )


def task_digest(task: Task) -> str:
    """Return the digest that identifies a record within its part of a job: 32 hex digits."""
    kind, index, mask, training_seed, evaluation_seed, amount = task.key
    text = f"{kind} {index} {mask.hex()} {training_seed} {evaluation_seed}"
    if amount:
        text += f" {amount}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def key_info(key: ApiKey) -> KeyInfo:
    """Convert a key to its HTTP model, without the digest of its secret."""
    return KeyInfo.model_validate(key, from_attributes=True)


def event_info(event: Event) -> JobEvent:
    """Convert an event to its HTTP model."""
    return JobEvent.model_validate(event, from_attributes=True)


def dataset_info(dataset: Dataset) -> DatasetInfo:
    """Convert a dataset to its HTTP model."""
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
    """Convert a job to its HTTP model, without links."""
    names = JobInfo.model_fields.keys() - {"study", "progress", "links"}
    fields = {name: getattr(job, name) for name in names}
    return JobInfo(**fields, study=job_study(job), progress=job_progress(job))


def job_study(job: Job) -> Study:
    """Return the resolved study of a job; parsed studies are cached."""
    return _parse_study(json.dumps(job.study))


@functools.lru_cache(maxsize=256)
def _parse_study(study_json: str) -> Study:
    return Study.resolved(json.loads(study_json))


def job_progress(job: Job) -> JobProgress:
    """Return the progress of a job; its rate counts from its last start to now, or to its end."""
    progress = JobProgress(done=job.done, total=job.total, failed=job.failed)
    if job.resumed_at is None or job.done_since == 0:
        return progress
    seconds = ((job.finished_at or utc_now()) - job.resumed_at).total_seconds()
    if seconds <= 0:  # the clock was set back
        return progress
    rate = job.done_since / seconds
    eta = None if job.status in ENDED else max(job.total - job.done, 0) / rate
    return progress.model_copy(update={"per_second": rate, "eta_seconds": eta})
