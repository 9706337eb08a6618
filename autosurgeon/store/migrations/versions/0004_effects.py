"""What a pass was begun under, what a stage's output is the effect of, and which stages were begun and never ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add a table and two columns, empty for older rows."""
    op.add_column("pass", sa.Column("contract", sa.String(), nullable=True))
    op.add_column("stage", sa.Column("effect_id", sa.String(), nullable=True))
    op.create_table(
        "begun",
        sa.Column("scope", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
    )
