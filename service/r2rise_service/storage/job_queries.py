"""Queries and changes of jobs within a transaction."""

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
    job_study,
    new_id,
    storable,
    utc_now,
)
from r2rise_service.storage.tables import BasedOn, Dataset, Event, Idempotency, Job

logger = logging.getLogger(__name__)

IDEMPOTENCY_WINDOW = timedelta(hours=24)
_CHANGEABLE = ("name", "labels", "priority")


@dataclass(frozen=True)
class Source:
    """A job that a new job is based on: its id, its map, and the map's name in the new job."""

    job_id: str
    name: str
    map: str


@dataclass(frozen=True)
class NewJob:
    """An accepted job, to be stored; `total` is its number of retrainings, baselines included."""

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


def lock_job(session: Session, job_id: str, owner: str | None = None) -> Job | None:
    """Return a job, locked against changes by others until the transaction ends."""
    query = select(Job).where(Job.id == job_id).with_for_update()
    if owner is not None:
        query = query.where(Job.owner == owner)
    return session.scalar(query)


def part_study(session: Session, job: Job, part: int) -> Study:
    """Return the study of a learner; the first learner has the study of the job.

    Raises:
        StoreConflict: When the job has no such part.
    """
    if part == 0:
        return job_study(job)
    source = session.get(BasedOn, (job.id, part))
    if source is None:
        raise StoreConflict(f"Job {job.id} has no part {part}.")
    return Study.resolved(json.loads(source.map)["study"])


def store_event(session: Session, job_id: str, type_: EventType, data: dict[str, Any]) -> Event:
    """Store an event, and flush, so that it has an id."""
    job_event = Event(job_id=job_id, type=type_, data=data, created_at=utc_now())
    session.add(job_event)
    session.flush()
    return job_event


def find_idempotent_job(session: Session, owner: str, idempotency: tuple[str, str]) -> Job | None:
    """Return the job that was created for an Idempotency-Key in the last 24 hours.

    Args:
        session: An open transaction.
        owner: Owner of the key.
        idempotency: The key and the digest of the request body.

    Raises:
        IdempotencyKeyReused: When the key was used with another body.
    """
    key, digest = idempotency
    stored_key = session.get(Idempotency, (owner, key))
    if stored_key is None or stored_key.created_at < utc_now() - IDEMPOTENCY_WINDOW:
        return None
    if stored_key.digest != digest:
        raise IdempotencyKeyReused(
            f"The Idempotency-Key {key!r} was used with another request body in the last "
            f"24 hours: send the same body, or another key."
        )
    return session.get(Job, stored_key.job_id)


def forget_old_keys(session: Session, now: datetime) -> None:
    """Remove the Idempotency-Keys that are older than 24 hours."""
    session.execute(delete(Idempotency).where(Idempotency.created_at < now - IDEMPOTENCY_WINDOW))


def store_job(session: Session, new_job: NewJob, idempotency: tuple[str, str] | None) -> Job:
    """Store a job as `queued`, with its first event.

    Raises:
        StoreConflict: When its dataset does not exist any more. A job that is based on others does
            not need it: the demonstrations of those jobs are kept.
    """
    lengths, now = _find_lengths(session, new_job), utc_now()
    job = Job(
        id=new_id("job"),
        owner=new_job.owner,
        kind=new_job.kind,
        status="queued",
        status_reason="",
        name=new_job.name,
        labels=dict(new_job.labels),
        warnings=[notice.model_dump() for notice in new_job.warnings],
        priority=new_job.priority,
        dataset_id=new_job.dataset_id,
        sha256=new_job.study.demonstrations,
        lengths=lengths,
        study=new_job.study.model_dump(mode="json"),
        study_hash=new_job.study.study_hash,
        based_on=[source.job_id for source in new_job.sources],
        repetitions=new_job.repetitions,
        done_since=0,
        total=new_job.total,
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
            Idempotency(owner=new_job.owner, key=key, digest=digest, job_id=job.id, created_at=now)
        )
    store_event(session, job.id, "job.status", {"status": "queued", "status_reason": ""})
    return job


def _find_lengths(session: Session, new_job: NewJob) -> list[int] | None:
    """Return the number of frames of each of a new job's demonstrations.

    They are None when the job is based on an old job, for which they were not stored.

    Raises:
        StoreConflict: When its dataset does not exist any more, and it is not based on other jobs.
    """
    if new_job.sources:
        source_id = new_job.sources[0].job_id
        of_source = select(Job.lengths).where(Job.id == source_id, Job.owner == new_job.owner)
        return session.scalar(of_source)
    query = select(Dataset.lengths).where(
        Dataset.id == new_job.dataset_id, Dataset.owner == new_job.owner
    )
    lengths = session.scalar(query.with_for_update())
    if lengths is None:
        raise StoreConflict(f"There is no dataset {new_job.dataset_id}: upload it again.")
    return lengths


def has_label(dialect: str, key: str, value: str) -> Any:
    """Return the SQL condition that a job has a label.

    The labels are expanded to rows, not read by a JSON path: any text can be a key.
    """
    pairs = {"sqlite": func.json_each, "postgresql": func.json_each_text}[dialect](Job.labels)
    pair = pairs.table_valued("key", "value", name="label")
    matching = select(1).select_from(pair).where(pair.c.key == key, pair.c.value == value)
    return exists(matching.correlate(Job))


def change(job: Job, changes: dict[str, Any]) -> None:
    """Change the name, labels or priority of a job; a value of None changes nothing.

    Raises:
        ValueError: When `changes` names another field.
    """
    unknown = changes.keys() - set(_CHANGEABLE)
    if unknown:
        raise ValueError(
            f"Expected changes of {', '.join(_CHANGEABLE)}, got {', '.join(sorted(unknown))}."
        )
    for name, value in changes.items():
        if value is not None:
            setattr(job, name, value)


def change_status(
    session: Session, job: Job, status: JobStatus, reason: str, error: str | None
) -> None:
    """Change the status of a job, and store the events of the change."""
    now, reason = utc_now(), storable(reason)
    error = None if error is None else storable(error)
    job.status, job.status_reason, job.error = status, reason, error
    if status == "running":
        job.started_at = job.started_at or now
        restart_rate(job)
    elif status == "queued":
        job.resumed_at = None
    job.finished_at = now if status in ENDED else None
    store_event(session, job.id, "job.status", {"status": status, "status_reason": reason})
    if error is not None:
        store_event(session, job.id, "job.error", {"error": error})
    log_fields = {"job": job.id, "status": status, "reason": reason}

    @event.listens_for(session, "after_commit", once=True)  # the transaction may still fail
    def log_change(_: Session) -> None:
        logger.info("job status changed", extra=log_fields)


def restart_rate(job: Job) -> None:
    """Count the rate of a job from now on."""
    job.resumed_at, job.done_since = utc_now(), 0


def check_live(session: Session, owner: str, max_live: int | None) -> None:
    """Check that an owner may have one more live job.

    Raises:
        TooManyLive: When the owner already has `max_live` live jobs.
    """
    n_live = count_live(session, owner)
    if max_live is not None and n_live >= max_live:
        raise TooManyLive(
            f"You have {n_live} live jobs; {max_live} are allowed. Wait for one to end."
        )


def check_ended(job: Job) -> None:
    """Check that a job has ended.

    Raises:
        StoreConflict: When it is live.
    """
    if job.status in LIVE:
        raise StoreConflict(f"Job {job.id} is {job.status}: cancel it and wait for its end first.")


def remove_ended(session: Session, before: datetime, limit: int) -> dict[str, str | None]:
    """Remove up to `limit` jobs that ended before a time; return their ids and content hashes."""
    ended = select(Job).where(Job.status.in_(ENDED), Job.finished_at < before)
    jobs = session.scalars(ended.order_by(Job.id).limit(limit).with_for_update()).all()
    for job in jobs:
        session.delete(job)
    return {job.id: job.sha256 for job in jobs}


def select_live() -> Select[Job]:
    """Return the query for live jobs, oldest first."""
    return select(Job).where(Job.status.in_(LIVE)).order_by(Job.id)


def count_live(session: Session, owner: str) -> int:
    """Return how many of the owner's jobs are live."""
    query = select(func.count()).where(Job.owner == owner, Job.status.in_(LIVE))
    return session.scalar(query) or 0


def count_by_status(session: Session) -> tuple[dict[str, int], dict[str, int]]:
    """Return the number of jobs by status, and the number of retrainings that are ok or failed."""
    jobs: dict[str, int] = dict.fromkeys(get_args(JobStatus), 0)
    retrainings = {"ok": 0, "failed": 0}
    query = select(Job.status, func.count(), func.sum(Job.done), func.sum(Job.failed))
    for status, n_jobs, done, failed in session.execute(query.group_by(Job.status)):
        jobs[status] = n_jobs
        retrainings["ok"] += int(done) - int(failed)
        retrainings["failed"] += int(failed)
    return jobs, retrainings
