"""Storage of the records of retrainings, and of how long they took."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from sqlalchemy import func, insert, literal, select
from sqlalchemy.orm import Session

from r2rise.ledger.ledger import Ledger, LedgerHeader
from r2rise.ledger.record import Record
from r2rise_service.models import JobInfo
from r2rise_service.storage.database import Database
from r2rise_service.storage.job_queries import lock_job, part_study, store_event
from r2rise_service.storage.rows import StoreConflict, job_info, job_progress, storable, task_digest
from r2rise_service.storage.tables import BlockTime, Job, RecordRow

_PLAIN_COLUMNS = (
    "kind",
    "index",
    "packed_mask",
    "training_seed",
    "evaluation_seed",
    "amount",
    "status",
    "reason",
    "seconds",
    "attempts",
    "evaluation_seconds",
)
"""Columns that hold a field of the record unchanged."""

_TASKS_PER_QUERY = 10_000
_BASELINES = ("random_policy", "baseline")


class RecordStore:
    """Stores the records of retrainings, and how long they took."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @cached_property
    def _upsert(self) -> Any:
        return _upsert_over_failures(self._database.insert(RecordRow))

    def add(
        self,
        job_id: str,
        records: Iterable[Record],
        *,
        part: int = 0,
        times: Mapping[int, float] | None = None,
    ) -> JobInfo | None:
        """Store records and count them, in one transaction, with a `job.progress` event.

        A stored record is replaced only if it failed. `revision` becomes the number of design
        records, with a `job.importance` event when it has grown.

        Args:
            job_id: Id of the job.
            records: Records of retrainings that ended.
            part: Number of the learner within the job; only a transfer has more than one.
            times: Times that `Ledger.add` returned for these records; they replace stored ones.

        Returns:
            The job, or None when it does not exist any more.
        """
        records = list(records)
        with self._database.writing() as session:
            job = lock_job(session, job_id)
            if job is None:
                return None
            self._store_times(session, job_id, times or {})
            _store_records(session, job, part, records, self._upsert)
            return job_info(job)

    def ledger(
        self, job_id: str, lengths: Sequence[int], n_segments: int, *, part: int = 0
    ) -> Ledger:
        """Return the records of a part of a job as a ledger, with the times of its blocks.

        Raises:
            StoreConflict: When the job, or the part, does not exist.
        """
        with self._database.reading() as session:
            job = session.get(Job, job_id)
            if job is None:
                raise StoreConflict(f"There is no job {job_id}.")
            study = part_study(session, job, part)
            header = LedgerHeader(study.design_part(), tuple(lengths), n_segments)
            return _read_ledger(session, job, part, header)

    def _store_times(self, session: Session, job_id: str, times: Mapping[int, float]) -> None:
        rows = [
            {"job_id": job_id, "block": block, "elapsed": elapsed}
            for block, elapsed in times.items()
        ]
        if rows:
            upsert = self._database.insert(BlockTime).values(rows)
            session.execute(
                upsert.on_conflict_do_update(
                    index_elements=["job_id", "block"], set_={"elapsed": upsert.excluded.elapsed}
                )
            )


def _store_records(
    session: Session, job: Job, part: int, records: Sequence[Record], upsert: Any
) -> None:
    """Store the records of tasks without a successful record, and count only those.

    Args:
        session: A writing transaction with the job locked, so that no other adds records to it.
        job: The job.
        part: Number of the learner within the job.
        records: Records to store; of several for one task, the first that did not fail counts.
        upsert: Statement that `_upsert_over_failures` returned.
    """
    records_by_task = _one_per_task(records)
    stored_statuses = _read_statuses(session, job, part, list(records_by_task))
    to_store = {
        task: record
        for task, record in records_by_task.items()
        if stored_statuses.get(task, "failed") == "failed"
    }
    if not to_store:
        return
    rows = [_make_row(job.id, part, task, record) for task, record in to_store.items()]
    session.connection().execute(upsert, rows)
    added_kinds = [record.kind for task, record in to_store.items() if task not in stored_statuses]
    n_replaced = len(to_store) - len(added_kinds)  # only failed records are replaced
    job.done += len(added_kinds)
    job.done_since += len(to_store)
    job.failed += sum(record.status == "failed" for record in to_store.values()) - n_replaced
    n_new_design = added_kinds.count("design")
    job.revision += n_new_design
    session.flush()
    store_event(session, job.id, "job.progress", job_progress(job).model_dump())
    if n_new_design:
        store_event(session, job.id, "job.importance", {"revision": job.revision})


def _read_statuses(session: Session, job: Job, part: int, tasks: Sequence[str]) -> dict[str, str]:
    """Return the status of the stored record of each task that has one.

    The query names the tasks, so that it uses the primary key instead of reading the whole job.
    """
    query = select(RecordRow.task, RecordRow.status).where(
        RecordRow.job_id == job.id, RecordRow.part == part
    )
    statuses: dict[str, str] = {}
    for start in range(0, len(tasks), _TASKS_PER_QUERY):
        is_in_chunk = RecordRow.task.in_(tasks[start : start + _TASKS_PER_QUERY])
        statuses |= {row.task: row.status for row in session.execute(query.where(is_in_chunk))}
    return statuses


def _one_per_task(records: Iterable[Record]) -> dict[str, Record]:
    """Return one record for each task, by digest: a statement can write a row only once."""
    records_by_task: dict[str, Record] = {}
    for record in records:
        task = task_digest(record)
        if task not in records_by_task or records_by_task[task].status == "failed":
            records_by_task[task] = record
    return records_by_task


def _upsert_over_failures(insert: Any) -> Any:
    """Return the statement that inserts records, and replaces stored ones that failed.

    Args:
        insert: An INSERT into the table of records that supports ON CONFLICT.
    """
    return insert.on_conflict_do_update(
        index_elements=["job_id", "part", "task"],
        set_={name: insert.excluded[name] for name in (*_PLAIN_COLUMNS[2:], "returns")},
        where=RecordRow.status == "failed",
    )


def _make_row(job_id: str, part: int, task: str, record: Record) -> dict[str, Any]:
    fields = {name: getattr(record, name) for name in _PLAIN_COLUMNS}
    fields["reason"] = storable(record.reason)
    returns = np.ascontiguousarray(record.returns, dtype="<f8").tobytes()
    return {"job_id": job_id, "part": part, "task": task, "returns": returns, **fields}


def copy_baselines(session: Session, job: Job, part: int, source_id: str) -> None:
    """Copy the baselines of another job into a part of a new job, and count them."""
    names = ("task", *_PLAIN_COLUMNS, "returns")
    source_rows = select(
        literal(job.id), literal(part), *(getattr(RecordRow, name) for name in names)
    ).where(RecordRow.job_id == source_id, RecordRow.part == 0, RecordRow.kind.in_(_BASELINES))
    session.execute(insert(RecordRow).from_select(["job_id", "part", *names], source_rows))
    count = select(func.count()).where(RecordRow.job_id == job.id, RecordRow.part == part)
    job.done += session.scalar(count) or 0
    job.failed += session.scalar(count.where(RecordRow.status == "failed")) or 0


def _read_ledger(session: Session, job: Job, part: int, header: LedgerHeader) -> Ledger:
    columns = [getattr(RecordRow, name) for name in (*_PLAIN_COLUMNS, "returns")]
    query = select(*columns).where(RecordRow.job_id == job.id, RecordRow.part == part)
    ledger = Ledger(header, (_make_record(row._mapping) for row in session.execute(query)))
    times = session.scalars(select(BlockTime).where(BlockTime.job_id == job.id))
    ledger.note_times({time.block: time.elapsed for time in times})
    return ledger


def _make_record(row: Any) -> Record:
    fields = dict(row)
    returns = np.frombuffer(fields.pop("returns"), dtype="<f8").astype(np.float64)
    return Record(returns=returns, **fields)
