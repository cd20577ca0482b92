"""What is asked and changed of jobs, within a transaction."""

import json
import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, get_args

from sqlalchemy import Select, delete, event, exists, func, select
from sqlalchemy.orm import Session

from r2rise.study.notices import Notice
from r2rise.study.study import Study
from r2rise_service.kinds import JobKind
from r2rise_service.models import ENDED, LIVE, EventType, JobStatus, Labels
from r2rise_service.storage.rows import (
    IdempotencyKeyReused,
    StoreConflict,
    TooManyLive,
    new_id,
    storable,
    study_of,
    utc_now,
)
from r2rise_service.storage.tables import BasedOn, Dataset, Event, Idempotency, Job

logger = logging.getLogger(__name__)

REMEMBERED = timedelta(hours=24)
_CHANGEABLE = ("name", "labels", "priority")


@dataclass(frozen=True)
class Source:
    """A job that another is based on: its map, and what that is called there."""

    job_id: str
    name: str
    map: str


@dataclass(frozen=True)
class NewJob:
    """A job that was accepted; `total` counts the retrainings it asks for, baselines included."""

    owner: str
    kind: JobKind
    dataset_id: str
    study: Study
    total: int
    warnings: tuple[Notice, ...] = ()
    name: str = ""
    labels: Labels = field(default_factory=dict)
    priority: int = 0
    sources: tuple[Source, ...] = ()
    repetitions: int | None = None


def locked(session: Session, job_id: str, owner: str | None = None) -> Job | None:
    """Return a job that nobody else changes until the transaction ends."""
    statement = select(Job).where(Job.id == job_id).with_for_update()
    if owner is not None:
        statement = statement.where(Job.owner == owner)
    return session.scalar(statement)


def study_of_part(session: Session, job: Job, part: int) -> Study:
    """Return the study of a learner; that of the first is the job's."""
    if part == 0:
        return study_of(job)
    source = session.get(BasedOn, (job.id, part))
    if source is None:
        raise StoreConflict(f"Job {job.id} has no part {part}.")
    return Study.resolved(json.loads(source.map)["study"])


def store_event(session: Session, job_id: str, type_: EventType, data: dict[str, Any]) -> Event:
    """Store an event."""
    event = Event(job_id=job_id, type=type_, data=data, created_at=utc_now())
    session.add(event)
    session.flush()
    return event


def remembered(session: Session, owner: str, idempotency: tuple[str, str]) -> Job | None:
    """Return the job that an Idempotency-Key made in the last 24 hours.

    Raises:
        IdempotencyKeyReused: When the key was used with another body.
    """
    key, digest = idempotency
    earlier = session.get(Idempotency, (owner, key))
    if earlier is None or earlier.created_at < utc_now() - REMEMBERED:
        return None
    if earlier.digest != digest:
        raise IdempotencyKeyReused(
            f"The Idempotency-Key {key!r} was used with another request body in the last "
            f"24 hours: send the same body, or another key."
        )
    return session.get(Job, earlier.job_id)


def forget_old_keys(session: Session, now: datetime) -> None:
    """Remove the Idempotency-Keys that are older than 24 hours."""
    session.execute(delete(Idempotency).where(Idempotency.created_at < now - REMEMBERED))


def store_job(session: Session, new: NewJob, idempotency: tuple[str, str] | None) -> Job:
    """Store a job as `queued`, with its first event.

    Raises:
        StoreConflict: When its dataset is not there any more. A job that is based on others needs
            none: their demonstrations are kept.
    """
    lengths, now = _lengths(session, new), utc_now()
    job = Job(
        id=new_id("job"),
        owner=new.owner,
        kind=new.kind,
        status="queued",
        status_reason="",
        name=new.name,
        labels=dict(new.labels),
        warnings=[notice.model_dump() for notice in new.warnings],
        priority=new.priority,
        dataset_id=new.dataset_id,
        sha256=new.study.demonstrations,
        lengths=lengths,
        study=new.study.model_dump(mode="json"),
        study_hash=new.study.study_hash,
        based_on=[source.job_id for source in new.sources],
        repetitions=new.repetitions,
        done_since=0,
        total=new.total,
        done=0,
        failed=0,
        revision=0,
        created_at=now,
    )
    session.add(job)
    session.flush()
    if idempotency is not None:
        key, digest = idempotency
        session.add(
            Idempotency(owner=new.owner, key=key, digest=digest, job_id=job.id, created_at=now)
        )
    store_event(session, job.id, "job.status", {"status": "queued", "status_reason": ""})
    return job


def _lengths(session: Session, new: NewJob) -> list[int] | None:
    """Return the lengths of the demonstrations of a new job, where they are known.

    Raises:
        StoreConflict: When its dataset is not there any more, and it is based on no other job.
    """
    if new.sources:
        source = new.sources[0].job_id
        theirs = select(Job.lengths).where(Job.id == source, Job.owner == new.owner)
        return session.scalar(theirs)
    own = select(Dataset.lengths).where(Dataset.id == new.dataset_id, Dataset.owner == new.owner)
    lengths = session.scalar(own.with_for_update())
    if lengths is None:
        raise StoreConflict(f"There is no dataset {new.dataset_id}: upload it again.")
    return lengths


def has_label(dialect: str, key: str, value: str) -> Any:
    """Return the condition that a job has a label; any text can be a key."""
    pairs = {"sqlite": func.json_each, "postgresql": func.json_each_text}[dialect](Job.labels)
    pair = pairs.table_valued("key", "value", name="label")
    own = select(1).select_from(pair).where(pair.c.key == key, pair.c.value == value)
    return exists(own.correlate(Job))


def change(job: Job, changes: dict[str, Any]) -> None:
    """Change name, labels or priority; None leaves what there is.

    Raises:
        ValueError: When something else is to be changed.
    """
    unknown = changes.keys() - set(_CHANGEABLE)
    if unknown:
        raise ValueError(
            f"Expected changes of {', '.join(_CHANGEABLE)}, got {', '.join(sorted(unknown))}."
        )
    for name, value in changes.items():
        if value is not None:
            setattr(job, name, value)


def move_on(session: Session, job: Job, status: JobStatus, reason: str, error: str | None) -> None:
    """Give a job another state, with its events."""
    now, reason = utc_now(), storable(reason)
    error = None if error is None else storable(error)
    job.status, job.status_reason, job.error = status, reason, error
    if status == "running":
        job.started_at = job.started_at or now
        count_anew(job)
    elif status == "queued":
        job.resumed_at = None
    job.finished_at = now if status in ENDED else None
    store_event(session, job.id, "job.status", {"status": status, "status_reason": reason})
    if error is not None:
        store_event(session, job.id, "job.error", {"error": error})
    facts = {"job": job.id, "status": status, "reason": reason}

    @event.listens_for(session, "after_commit", once=True)  # not before it is sure
    def tell(_: Session) -> None:
        logger.info("job moved on", extra=facts)


def count_anew(job: Job) -> None:
    """Let the rate of a job begin now."""
    job.resumed_at, job.done_since = utc_now(), 0


def check_live(session: Session, owner: str, most: int | None) -> None:
    """Check that an owner may have one more live job.

    Raises:
        TooManyLive: When there are as many as allowed.
    """
    n_live = count_live(session, owner)
    if most is not None and n_live >= most:
        raise TooManyLive(f"You have {n_live} live jobs; {most} are allowed. Wait for one to end.")


def check_ended(job: Job) -> None:
    """Check that a job is not live.

    Raises:
        StoreConflict: While it is.
    """
    if job.status in LIVE:
        raise StoreConflict(f"Job {job.id} is {job.status}: cancel it and wait for its end first.")


def remove_ended(session: Session, before: datetime, at_most: int) -> dict[str, str | None]:
    """Remove jobs that ended before a time; return their ids and what they were about."""
    ended = select(Job).where(Job.status.in_(ENDED), Job.finished_at < before)
    jobs = session.scalars(ended.order_by(Job.id).limit(at_most).with_for_update()).all()
    for job in jobs:
        session.delete(job)
    return {job.id: job.sha256 for job in jobs}


def live() -> Select[Job]:
    """Return the query for live jobs, older first."""
    return select(Job).where(Job.status.in_(LIVE)).order_by(Job.id)


def count_live(session: Session, owner: str) -> int:
    """Return how many of the owner's jobs are live."""
    own = select(func.count()).where(Job.owner == owner, Job.status.in_(LIVE))
    return session.scalar(own) or 0


def totals(session: Session) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many jobs have each status, and how many of all retrainings have each."""
    jobs: dict[str, int] = dict.fromkeys(get_args(JobStatus), 0)
    retrainings = {"ok": 0, "failed": 0}
    counts = select(Job.status, func.count(), func.sum(Job.done), func.sum(Job.failed))
    for status, n_jobs, done, failed in session.execute(counts.group_by(Job.status)):
        jobs[status] = n_jobs
        retrainings["ok"] += int(done) - int(failed)
        retrainings["failed"] += int(failed)
    return jobs, retrainings
