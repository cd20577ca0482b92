"""Adds the amount of training to records."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column; 0 stands for the amount that the study names."""
    op.add_column(
        "records", sa.Column("amount", sa.BigInteger(), nullable=False, server_default="0")
    )
