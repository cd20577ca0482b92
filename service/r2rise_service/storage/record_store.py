"""Records of the store."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from r2rise.ledger.ledger import Ledger, Record
from r2rise_service.models import JobInfo
from r2rise_service.storage import job_queries, record_queries, result_queries
from r2rise_service.storage.database import Database
from r2rise_service.storage.rows import Conflict, job_info
from r2rise_service.storage.tables import Job, Mark, RecordRow


class RecordStore:
    """Records of retrainings, and how long they took."""

    _database: Database

    @cached_property
    def _write_records(self) -> Any:
        return record_queries.writing_over_failures(self._database.insert(RecordRow))

    def add_records(
        self, job_id: str, records: Iterable[Record], *, part: int = 0
    ) -> JobInfo | None:
        """Store records and count them, in one transaction, with a `job.progress` event.

        A record of a task that is there already is left as it is, unless that one failed.
        `revision` becomes the number of design records, with a `job.importance` event when it grew.

        Args:
            job_id: The job.
            records: What came.
            part: Number of the learner within the job; only a transfer has more than one.

        Returns:
            The job, or None when there is no such job any more.
        """
        came = list(records)
        with self._database.writing() as session:
            job = job_queries.locked(session, job_id)
            if job is None:
                return None
            record_queries.store_records(session, job, part, came, self._write_records)
            return job_info(job)

    def ledger(
        self, job_id: str, lengths: Sequence[int], n_segments: int, *, part: int = 0
    ) -> Ledger:
        """Return the records of a part of a job as a ledger, with the times of its blocks."""
        with self._database.reading() as session:
            job = session.get(Job, job_id)
            if job is None:
                raise Conflict(f"There is no job {job_id}.")
            study = result_queries.study_of_part(session, job, part)
            return record_queries.read_ledger(session, job, part, study, lengths, n_segments)

    def mark(self, job_id: str, block: int, elapsed: float) -> None:
        """Note seconds of work, as `Ledger.mark`."""
        insert = self._database.insert(Mark)
        with self._database.writing() as session:
            if job_queries.locked(session, job_id) is not None:
                record_queries.store_mark(session, job_id, block, elapsed, insert)
