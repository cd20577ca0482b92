"""Records and marks, within a transaction."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from r2rise.ledger import Ledger, LedgerHeader, Record
from r2rise_service.storage.job_queries import store_event
from r2rise_service.storage.rows import progress_of, storable, study_of
from r2rise_service.storage.tables import Job, Mark, RecordRow

_PLAIN = (
    "kind",
    "index",
    "packed_mask",
    "training_seed",
    "evaluation_seed",
    "status",
    "reason",
    "seconds",
    "attempts",
    "evaluation_seconds",
)
_Place = tuple[str, int]


def store_records(session: Session, job: Job, records: Sequence[Record], insert: Any) -> None:
    """Store records that are not there or failed, and count what was really stored.

    Args:
        session: A writing transaction that holds the job.
        job: Whose records they are.
        records: What came; of several for one task the first counts, unless it failed.
        insert: An INSERT into the records that knows ON CONFLICT.
    """
    if not records:
        return
    before = _failures_held(session, job, records)
    rows = [_row(job.id, record) for record in _distinct(records)]
    written = session.execute(_unless_done(insert), rows).all()
    if not written:
        return
    added = [kind for kind, index, _ in written if (kind, index) not in before]
    mended = len(written) - len(added)
    job.done += len(added)
    job.failed += sum(status == "failed" for *_, status in written) - mended
    new_design = added.count("design")
    job.revision += new_design
    session.flush()
    store_event(session, job.id, "job.progress", progress_of(job).model_dump())
    if new_design:
        store_event(session, job.id, "job.importance", {"revision": job.revision})


def _failures_held(session: Session, job: Job, records: Sequence[Record]) -> set[_Place]:
    """Return which of these tasks failed before; the others that get written are new."""
    indices = [record.index for record in records]
    failures = select(RecordRow.kind, RecordRow.index).where(
        RecordRow.job_id == job.id,
        RecordRow.kind.in_({record.kind for record in records}),
        RecordRow.index.between(min(indices), max(indices)),
        RecordRow.status == "failed",
    )
    return {(kind, index) for kind, index in session.execute(failures)}


def _distinct(records: Iterable[Record]) -> list[Record]:
    """Return one record for each task, as one statement can write a row only once."""
    kept: dict[_Place, Record] = {}
    for record in records:
        place = record.kind, record.index
        if place not in kept or kept[place].status == "failed":
            kept[place] = record
    return list(kept.values())


def _unless_done(insert: Any) -> Any:
    """Return the INSERT that leaves a record that did not fail; it returns what it wrote."""
    changed = {name: insert.excluded[name] for name in (*_PLAIN[2:], "returns")}
    statement = insert.on_conflict_do_update(
        index_elements=["job_id", "kind", "index"],
        set_=changed,
        where=RecordRow.status == "failed",
    )
    return statement.returning(RecordRow.kind, RecordRow.index, RecordRow.status)


def _row(job_id: str, record: Record) -> dict[str, Any]:
    plain = {name: getattr(record, name) for name in _PLAIN}
    plain["reason"] = storable(record.reason)
    returns = np.ascontiguousarray(record.returns, dtype="<f8").tobytes()
    return {"job_id": job_id, "returns": returns, **plain}


def read_ledger(session: Session, job: Job, lengths: Sequence[int], n_segments: int) -> Ledger:
    """Return the records of a job as a ledger."""
    columns = [getattr(RecordRow, name) for name in (*_PLAIN, "returns")]
    rows = session.execute(select(*columns).where(RecordRow.job_id == job.id))
    header = LedgerHeader(study_of(job).design_part(), tuple(lengths), n_segments)
    ledger = Ledger(header, (_record(row._mapping) for row in rows))
    marks = session.scalars(select(Mark).where(Mark.job_id == job.id))
    ledger.elapsed = {mark.block: mark.elapsed for mark in marks}
    return ledger


def _record(fields: Any) -> Record:
    plain = dict(fields)
    returns = np.frombuffer(plain.pop("returns"), dtype="<f8").astype(np.float64)
    return Record(returns=returns, **plain)


def store_mark(session: Session, job_id: str, block: int, elapsed: float, insert: Any) -> None:
    """Store when a block was complete; the last word counts."""
    statement = insert.values(job_id=job_id, block=block, elapsed=elapsed)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["job_id", "block"], set_={"elapsed": elapsed}
        )
    )
