"""What a run works under, its policy, parameters and seed, and a detail of why it ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the columns; what earlier runs worked under is not known."""
    for name in ("policy", "policy_file", "params"):
        op.add_column("run", sa.Column(name, sa.String()))
    op.add_column("run", sa.Column("seed", sa.BigInteger()))
    op.add_column("run", sa.Column("end_detail", sa.String()))
