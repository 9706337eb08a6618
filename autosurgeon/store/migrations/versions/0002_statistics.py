"""Policies kept whole, looks that were paid for, how anchors fared, and anchors that were set aside."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the four tables."""
    op.create_table(
        "policy",
        sa.Column("digest", sa.String(), primary_key=True),
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
    )
    op.create_table(
        "look",
        sa.Column("look", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("pass_number", sa.Integer(), nullable=False),
        sa.Column("alpha", sa.Float(), nullable=False),
        sa.Column("left", sa.Float(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.UniqueConstraint("pass_number"),
    )
    op.create_table(
        "anchor_run",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("occasion", sa.String(), nullable=False),
        sa.Column("task_id", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("passed", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.UniqueConstraint("occasion", "task_id"),
    )
    op.create_index("ix_anchor_run_task_id", "anchor_run", ["task_id"])
    op.create_table(
        "quarantine",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("task_id", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.Column("expires_at", sa.String(), nullable=False),
    )
    op.create_index("ix_quarantine_task_id", "quarantine", ["task_id"])
