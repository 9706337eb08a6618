"""From here on the chain holds digests of every row of every table."""

from __future__ import annotations

from alembic import op

from autosurgeon.store.database import utc_now
from autosurgeon.store.row_digests import append_all_digests

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Append the digests of existing rows; no table changes."""
    append_all_digests(op.get_bind(), utc_now())
