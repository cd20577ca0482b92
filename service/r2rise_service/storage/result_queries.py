"""What jobs are based on and what came of them, within a transaction."""

import json
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from r2rise.study.study import Study
from r2rise_service.models import JobKind
from r2rise_service.storage.new import Source
from r2rise_service.storage.record_queries import copy_baselines
from r2rise_service.storage.rows import Conflict, study_of
from r2rise_service.storage.tables import BasedOn, Job, JobResult


def store_source(session: Session, job: Job, part: int, source: Source) -> None:
    """Store a map that a job is based on, and copy the baselines of where it comes from.

    Raises:
        Conflict: When that job was removed or started again meanwhile.
    """
    theirs = select(Job.status).where(Job.id == source.job_id, Job.owner == job.owner)
    if session.scalar(theirs.with_for_update()) != "succeeded":
        raise Conflict(f"Job {source.job_id} was removed or tried again meanwhile: look at it.")
    session.add(
        BasedOn(job_id=job.id, part=part, source_id=source.job_id, name=source.name, map=source.map)
    )
    if job.kind != "curate":  # curating compares with retrainings of its own
        copy_baselines(session, job, part, source.job_id)


def study_of_part(session: Session, job: Job, part: int) -> Study:
    """Return the study of a learner; that of the first is the job's."""
    if part == 0:
        return study_of(job)
    source = session.get(BasedOn, (job.id, part))
    if source is None:
        raise Conflict(f"Job {job.id} has no part {part}.")
    return Study.resolved(json.loads(source.map)["study"])


def store_result(session: Session, job_id: str, result: str, insert: Any) -> None:
    """Store what came of a job; the last word counts."""
    statement = insert.values(job_id=job_id, result=result)
    session.execute(
        statement.on_conflict_do_update(index_elements=["job_id"], set_={"result": result})
    )


def newest_based_on(session: Session, job: Job, kind: JobKind) -> Job | None:
    """Return the owner's newest job of a kind that is based on a job and succeeded."""
    own = (
        select(Job)
        .join(BasedOn, BasedOn.job_id == Job.id)
        .where(
            BasedOn.source_id == job.id,
            Job.owner == job.owner,
            Job.kind == kind,
            Job.status == "succeeded",
        )
    )
    return session.scalar(own.order_by(Job.id.desc()).limit(1))


def result_of(session: Session, job_id: str) -> str | None:
    """Return the JSON of what came of a job."""
    return session.scalar(select(JobResult.result).where(JobResult.job_id == job_id))
