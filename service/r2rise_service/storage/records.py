"""Records of retrainings, and how long they took."""

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
from r2rise_service.storage.job_queries import locked, store_event, study_of_part
from r2rise_service.storage.rows import StoreConflict, job_info, progress_of, storable, task_digest
from r2rise_service.storage.tables import BlockTime, Job, RecordRow

_PLAIN = (
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
_ASKED_AT_ONCE = 10_000
_BASELINES = ("random_policy", "baseline")


class RecordStore:
    """Records of retrainings, and how long they took."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @cached_property
    def _write(self) -> Any:
        return _writing_over_failures(self._database.insert(RecordRow))

    def add(
        self,
        job_id: str,
        records: Iterable[Record],
        *,
        part: int = 0,
        times: Mapping[int, float] | None = None,
    ) -> JobInfo | None:
        """Store records and count them, in one transaction, with a `job.progress` event.

        A record of a task that is there already is left as it is, unless that one failed.
        `revision` becomes the number of design records, with a `job.importance` event when it grew.

        Args:
            job_id: The job.
            records: What came.
            part: Number of the learner within the job; only a transfer has more than one.
            times: What `Ledger.add` noted of them; the last word counts.

        Returns:
            The job, or None when there is no such job any more.
        """
        came = list(records)
        with self._database.writing() as session:
            job = locked(session, job_id)
            if job is None:
                return None
            self._store_times(session, job_id, times or {})
            _store_records(session, job, part, came, self._write)
            return job_info(job)

    def ledger(
        self, job_id: str, lengths: Sequence[int], n_segments: int, *, part: int = 0
    ) -> Ledger:
        """Return the records of a part of a job as a ledger, with the times of its blocks."""
        with self._database.reading() as session:
            job = session.get(Job, job_id)
            if job is None:
                raise StoreConflict(f"There is no job {job_id}.")
            study = study_of_part(session, job, part)
            header = LedgerHeader(study.design_part(), tuple(lengths), n_segments)
            return _read_ledger(session, job, part, header)

    def _store_times(self, session: Session, job_id: str, times: Mapping[int, float]) -> None:
        rows = [
            {"job_id": job_id, "block": block, "elapsed": elapsed}
            for block, elapsed in times.items()
        ]
        if rows:
            new = self._database.insert(BlockTime).values(rows)
            session.execute(
                new.on_conflict_do_update(
                    index_elements=["job_id", "block"], set_={"elapsed": new.excluded.elapsed}
                )
            )


def _store_records(
    session: Session, job: Job, part: int, records: Sequence[Record], write: Any
) -> None:
    """Store records that are not there or failed, and count what was really stored.

    Args:
        session: A writing transaction that holds the job, so that nobody else adds records to it.
        job: Whose records they are.
        part: Number of the learner within the job.
        records: What came; of several for one task the first counts, unless it failed.
        write: `_writing_over_failures` of the database.
    """
    came = _distinct(records)
    held = _held(session, job, part, list(came))
    new = {task: one for task, one in came.items() if held.get(task, "failed") == "failed"}
    if not new:
        return
    rows = [_row(job.id, part, task, record) for task, record in new.items()]
    session.connection().execute(write, rows)
    added = [record.kind for task, record in new.items() if task not in held]
    mended = len(new) - len(added)
    job.done += len(added)
    job.done_since += len(new)
    job.failed += sum(record.status == "failed" for record in new.values()) - mended
    new_design = added.count("design")
    job.revision += new_design
    session.flush()
    store_event(session, job.id, "job.progress", progress_of(job).model_dump())
    if new_design:
        store_event(session, job.id, "job.importance", {"revision": job.revision})


def _held(session: Session, job: Job, part: int, tasks: Sequence[str]) -> dict[str, str]:
    """Return the states of those of these tasks that there are records of, by the primary key."""
    own = select(RecordRow.task, RecordRow.status).where(
        RecordRow.job_id == job.id, RecordRow.part == part
    )
    held: dict[str, str] = {}
    for start in range(0, len(tasks), _ASKED_AT_ONCE):
        some = RecordRow.task.in_(tasks[start : start + _ASKED_AT_ONCE])
        held |= {row.task: row.status for row in session.execute(own.where(some))}
    return held


def _distinct(records: Iterable[Record]) -> dict[str, Record]:
    """Return one record for each task, as one statement can write a row only once."""
    kept: dict[str, Record] = {}
    for record in records:
        task = task_digest(record)
        if task not in kept or kept[task].status == "failed":
            kept[task] = record
    return kept


def _writing_over_failures(insert: Any) -> Any:
    """Return the statement that writes records, also over those that failed.

    Args:
        insert: An INSERT into the records that knows ON CONFLICT.
    """
    return insert.on_conflict_do_update(
        index_elements=["job_id", "part", "task"],
        set_={name: insert.excluded[name] for name in (*_PLAIN[2:], "returns")},
        where=RecordRow.status == "failed",
    )


def _row(job_id: str, part: int, task: str, record: Record) -> dict[str, Any]:
    plain = {name: getattr(record, name) for name in _PLAIN}
    plain["reason"] = storable(record.reason)
    returns = np.ascontiguousarray(record.returns, dtype="<f8").tobytes()
    return {"job_id": job_id, "part": part, "task": task, "returns": returns, **plain}


def copy_baselines(session: Session, job: Job, part: int, source_id: str) -> None:
    """Copy baselines of another job into a part of a new one, and count them."""
    names = ("task", *_PLAIN, "returns")
    theirs = select(
        literal(job.id), literal(part), *(getattr(RecordRow, name) for name in names)
    ).where(RecordRow.job_id == source_id, RecordRow.part == 0, RecordRow.kind.in_(_BASELINES))
    session.execute(insert(RecordRow).from_select(["job_id", "part", *names], theirs))
    own = select(func.count()).where(RecordRow.job_id == job.id, RecordRow.part == part)
    job.done += session.scalar(own) or 0
    job.failed += session.scalar(own.where(RecordRow.status == "failed")) or 0


def _read_ledger(session: Session, job: Job, part: int, header: LedgerHeader) -> Ledger:
    columns = [getattr(RecordRow, name) for name in (*_PLAIN, "returns")]
    own = select(*columns).where(RecordRow.job_id == job.id, RecordRow.part == part)
    ledger = Ledger(header, (_record(row._mapping) for row in session.execute(own)))
    times = session.scalars(select(BlockTime).where(BlockTime.job_id == job.id))
    ledger.note_times({time.block: time.elapsed for time in times})
    return ledger


def _record(fields: Any) -> Record:
    plain = dict(fields)
    returns = np.frombuffer(plain.pop("returns"), dtype="<f8").astype(np.float64)
    return Record(returns=returns, **plain)
