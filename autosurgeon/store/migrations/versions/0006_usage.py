"""What a try of a stage used of the machine, and what all of them took together."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make both; the usage of earlier tries is unknown, and their sum is made when the next try is added."""
    op.add_column("stage", sa.Column("usage", sa.String()))
    op.create_table(
        "spent", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("cost", sa.String(), nullable=False)
    )
