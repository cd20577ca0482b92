"""Records know how long their retraining trained."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column; 0 is as long as the study says."""
    op.add_column(
        "records", sa.Column("amount", sa.BigInteger(), nullable=False, server_default="0")
    )
