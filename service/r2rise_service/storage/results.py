"""Storage of the maps that jobs are based on, results of jobs, and comparisons."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from r2rise.results.comparison import Comparison
from r2rise_service.kinds import JobKind
from r2rise_service.models import ComparisonInfo, JobInfo
from r2rise_service.storage.database import Database
from r2rise_service.storage.job_queries import Source, change_status, lock_job
from r2rise_service.storage.records import copy_baselines
from r2rise_service.storage.rows import StoreConflict, comparison_info, job_info, new_id, utc_now
from r2rise_service.storage.tables import BasedOn, ComparisonRow, Job, JobResult


class ResultStore:
    """Stores the maps that jobs are based on, and the results of jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def maps_of(self, job_id: str) -> list[tuple[str, str]]:
        """Return the maps that a job is based on, as they were when it was accepted.

        Returns:
            Name and JSON of each map, in the order of the parts.
        """
        query = select(BasedOn.name, BasedOn.map).where(BasedOn.job_id == job_id)
        with self._database.reading() as session:
            return [(name, map_) for name, map_ in session.execute(query.order_by(BasedOn.part))]

    def finish(self, job_id: str, result: str | None = None) -> JobInfo | None:
        """Store the result of a running job and mark it `succeeded`, in one transaction.

        Args:
            job_id: Id of the job.
            result: JSON of the result; None for kinds without one.

        Returns:
            The job, or None when it is not running (then nothing has changed).
        """
        insert = self._database.insert(JobResult)
        with self._database.writing() as session:
            job = lock_job(session, job_id)
            if job is None or job.status != "running":
                return None
            if result is not None:  # a job that is tried again replaces its earlier result
                session.execute(
                    insert.values(job_id=job_id, result=result).on_conflict_do_update(
                        index_elements=["job_id"], set_={"result": result}
                    )
                )
            change_status(session, job, "succeeded", "", None)
            return job_info(job)

    def get(self, job_id: str) -> str | None:
        """Return the result of a job as JSON; None while there is none."""
        query = select(JobResult.result).where(JobResult.job_id == job_id)
        with self._database.reading() as session:
            return session.scalar(query)

    def newest_based_on(self, job_id: str, kind: JobKind) -> JobInfo | None:
        """Return the newest succeeded job of a kind that is based on a job and has its owner."""
        with self._database.reading() as session:
            job = session.get(Job, job_id)
            if job is None:
                return None
            query = select(Job).join(BasedOn, BasedOn.job_id == Job.id)
            query = query.where(BasedOn.source_id == job.id, Job.owner == job.owner)
            query = query.where(Job.kind == kind, Job.status == "succeeded")
            newest = session.scalar(query.order_by(Job.id.desc()).limit(1))
            return None if newest is None else job_info(newest)


class ComparisonStore:
    """Stores comparisons of the maps of two jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, owner: str, a: str, b: str, comparison: Comparison) -> ComparisonInfo:
        """Store a comparison of the maps of the jobs `a` and `b`."""
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
        """Return one of the owner's comparisons; None if the owner has none with this id."""
        with self._database.reading() as session:
            row = session.get(ComparisonRow, comparison_id)
            return None if row is None or row.owner != owner else comparison_info(row)


def store_source(
    session: Session, job: Job, part: int, source: Source, *, with_baselines: bool
) -> None:
    """Store a map that a new job is based on, and copy the baselines of the map's job.

    Args:
        session: An open writing transaction.
        job: The new job.
        part: Number of the map within the new job.
        source: The map and its job.
        with_baselines: Whether baselines are copied.

    Raises:
        StoreConflict: When the map's job was removed or started again meanwhile.
    """
    source_status = select(Job.status).where(Job.id == source.job_id, Job.owner == job.owner)
    if session.scalar(source_status.with_for_update()) != "succeeded":
        raise StoreConflict(
            f"Job {source.job_id} was deleted or retried in the meantime: check its status."
        )
    session.add(
        BasedOn(job_id=job.id, part=part, source_id=source.job_id, name=source.name, map=source.map)
    )
    if with_baselines:
        copy_baselines(session, job, part, source.job_id)
