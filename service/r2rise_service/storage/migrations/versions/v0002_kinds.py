"""Several kinds of jobs: the maps they are based on, results, and records identified by task."""

import hashlib
from typing import Any

import sqlalchemy as sa
from alembic import op

from r2rise_service.storage.tables import UtcTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add columns and tables; every record gets the digest of its task."""
    _extend_jobs()
    _create_based_on()
    _create_results()
    _create_comparisons()
    _extend_records()


def _extend_jobs() -> None:
    # SQLite adds columns in place. Recreating the table would delete the rows that refer to it.
    op.add_column("jobs", sa.Column("based_on", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("jobs", sa.Column("repetitions", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("resumed_at", UtcTime(), nullable=True))
    op.add_column("jobs", sa.Column("done_since", sa.Integer(), nullable=False, server_default="0"))
    op.execute("UPDATE jobs SET resumed_at = started_at, done_since = done")


def _create_based_on() -> None:
    op.create_table(
        "based_on",
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("map", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_based_on_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "part", name=op.f("pk_based_on")),
    )
    op.create_index(op.f("ix_based_on_source_id"), "based_on", ["source_id"], unique=False)


def _create_results() -> None:
    op.create_table(
        "results",
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_results_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_results")),
    )


def _create_comparisons() -> None:
    op.create_table(
        "comparisons",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("a", sa.String(length=64), nullable=False),
        sa.Column("b", sa.String(length=64), nullable=False),
        sa.Column("comparison", sa.Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comparisons")),
    )
    op.create_index(op.f("ix_comparisons_owner"), "comparisons", ["owner"], unique=False)


def _extend_records() -> None:
    op.add_column("records", sa.Column("part", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("records", sa.Column("task", sa.String(length=32), nullable=True))
    _fill_in_tasks()
    with op.batch_alter_table("records") as table:
        table.alter_column("task", existing_type=sa.String(length=32), nullable=False)
        table.drop_constraint(op.f("pk_records"), type_="primary")
        table.create_primary_key(op.f("pk_records"), ["job_id", "part", "task"])


def _fill_in_tasks() -> None:
    names = ("job_id", "kind", "index", "packed_mask", "training_seed", "evaluation_seed", "task")
    records = sa.table("records", *(sa.column(name) for name in names))
    job_id, kind, index, *of_task, _ = records.c
    fill = (
        sa.update(records)
        .where(job_id == sa.bindparam("j"), kind == sa.bindparam("k"), index == sa.bindparam("i"))
        .values(task=sa.bindparam("t"))
    )
    connection = op.get_bind()
    # job by job, so that only one job's records are in memory
    for job in connection.scalars(sa.select(job_id).distinct()).all():
        rows = connection.execute(sa.select(kind, index, *of_task).where(job_id == job))
        tasks = [{"j": job, "k": row[0], "i": row[1], "t": _digest(*row)} for row in rows]
        connection.execute(fill, tasks)


def _digest(kind: str, index: int, mask: Any, training_seed: int, evaluation_seed: int) -> str:
    """Return the digest as `rows.task_digest` computed it when this migration was written."""
    text = f"{kind} {index} {bytes(mask).hex()} {training_seed} {evaluation_seed}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]
