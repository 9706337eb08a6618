"""The chain of events; where decisions were made before it, it begins with the digest of them all."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from autosurgeon.store.database import utc_now
from autosurgeon.store.events import adopt

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table and its first event."""
    op.create_table(
        "event",
        sa.Column("seq", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("payload", sa.String(), nullable=False),
        sa.Column("previous", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
    )
    adopt(op.get_bind(), utc_now())
