"""What jobs are based on, what came of them, and comparisons."""

from sqlalchemy import select

from r2rise.results.comparison import Comparison
from r2rise_service.kinds import JobKind
from r2rise_service.models import ComparisonInfo, JobInfo
from r2rise_service.storage import job_queries, result_queries
from r2rise_service.storage.database import Database
from r2rise_service.storage.rows import comparison_info, job_info, new_id, utc_now
from r2rise_service.storage.tables import BasedOn, ComparisonRow, Job, JobResult


class ResultStore:
    """Maps that jobs are based on, results and comparisons."""

    _database: Database

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
            job = job_queries.locked(session, job_id)
            if job is None or job.status != "running":
                return None
            if result is not None:
                result_queries.store_result(session, job_id, result, insert)
            job_queries.move_on(session, job, "succeeded", "", None)
            return job_info(job)

    def result(self, job_id: str) -> str | None:
        """Return the JSON of what came of a job, if it has been done."""
        with self._database.reading() as session:
            return result_queries.result_of(session, job_id)

    def newest_based_on(self, job_id: str, kind: JobKind) -> JobInfo | None:
        """Return the newest job of a kind that is based on a job and succeeded."""
        with self._database.reading() as session:
            job = session.get(Job, job_id)
            found = None if job is None else result_queries.newest_based_on(session, job, kind)
            return None if found is None else job_info(found)

    def add_comparison(self, owner: str, a: str, b: str, comparison: Comparison) -> ComparisonInfo:
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

    def comparison(self, owner: str, comparison_id: str) -> ComparisonInfo | None:
        """Return one of the owner's comparisons."""
        with self._database.reading() as session:
            row = session.get(ComparisonRow, comparison_id)
            return None if row is None or row.owner != owner else comparison_info(row)
