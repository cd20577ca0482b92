"""What jobs are based on, what came of them, and comparisons."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from r2rise.results.comparison import Comparison
from r2rise_service.kinds import JobKind
from r2rise_service.models import ComparisonInfo, JobInfo
from r2rise_service.storage.database import Database
from r2rise_service.storage.job_queries import Source, locked, move_on
from r2rise_service.storage.records import copy_baselines
from r2rise_service.storage.rows import StoreConflict, comparison_info, job_info, new_id, utc_now
from r2rise_service.storage.tables import BasedOn, ComparisonRow, Job, JobResult


class ResultStore:
    """Maps that jobs are based on, and results."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def maps_of(self, job_id: str) -> list[tuple[str, str]]:
        """Return the maps that a job is based on, as they were when it was accepted.

        Returns:
            Name and JSON of each, in order of the parts.
        """
        own = select(BasedOn.name, BasedOn.map).where(BasedOn.job_id == job_id)
        with self._database.reading() as session:
            return [(name, map_) for name, map_ in session.execute(own.order_by(BasedOn.part))]

    def finish(self, job_id: str, result: str | None = None) -> JobInfo | None:
        """Store the result of a running job and let it succeed, in one transaction.

        Returns:
            The job, or None when it is not running (nothing happened then).
        """
        insert = self._database.insert(JobResult)
        with self._database.writing() as session:
            job = locked(session, job_id)
            if job is None or job.status != "running":
                return None
            if result is not None:  # the last word counts
                session.execute(
                    insert.values(job_id=job_id, result=result).on_conflict_do_update(
                        index_elements=["job_id"], set_={"result": result}
                    )
                )
            move_on(session, job, "succeeded", "", None)
            return job_info(job)

    def get(self, job_id: str) -> str | None:
        """Return the JSON of what came of a job, if it has been done."""
        own = select(JobResult.result).where(JobResult.job_id == job_id)
        with self._database.reading() as session:
            return session.scalar(own)

    def newest_based_on(self, job_id: str, kind: JobKind) -> JobInfo | None:
        """Return the owner's newest job of a kind that is based on a job and succeeded."""
        with self._database.reading() as session:
            job = session.get(Job, job_id)
            if job is None:
                return None
            own = select(Job).join(BasedOn, BasedOn.job_id == Job.id)
            own = own.where(BasedOn.source_id == job.id, Job.owner == job.owner)
            own = own.where(Job.kind == kind, Job.status == "succeeded")
            found = session.scalar(own.order_by(Job.id.desc()).limit(1))
            return None if found is None else job_info(found)


class ComparisonStore:
    """Comparisons of the maps of two jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, owner: str, a: str, b: str, comparison: Comparison) -> ComparisonInfo:
        """Store a comparison of the maps of two jobs."""
        row = ComparisonRow(
            id=new_id("cmp"),
            owner=owner,
            a=a,
            b=b,
            comparison=comparison.to_json(),
            created_at=utc_now(),
        )
        with self._database.writing() as session:
            session.add(row)
        return comparison_info(row)

    def get(self, owner: str, comparison_id: str) -> ComparisonInfo | None:
        """Return one of the owner's comparisons."""
        with self._database.reading() as session:
            row = session.get(ComparisonRow, comparison_id)
            return None if row is None or row.owner != owner else comparison_info(row)


def store_source(
    session: Session, job: Job, part: int, source: Source, *, with_baselines: bool
) -> None:
    """Store a map that a new job is based on, and copy the baselines of where it comes from.

    Raises:
        StoreConflict: When that job was removed or started again meanwhile.
    """
    theirs = select(Job.status).where(Job.id == source.job_id, Job.owner == job.owner)
    if session.scalar(theirs.with_for_update()) != "succeeded":
        raise StoreConflict(
            f"Job {source.job_id} was removed or tried again meanwhile: look at it."
        )
    session.add(
        BasedOn(job_id=job.id, part=part, source_id=source.job_id, name=source.name, map=source.map)
    )
    if with_baselines:
        copy_baselines(session, job, part, source.job_id)
