"""Adds the lengths of the demonstrations to jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column; it stays NULL for jobs whose dataset was deleted."""
    op.add_column("jobs", sa.Column("lengths", sa.JSON(), nullable=True))
    op.execute(
        "UPDATE jobs SET lengths = "
        "(SELECT lengths FROM datasets WHERE datasets.sha256 = jobs.sha256 LIMIT 1)"
    )
