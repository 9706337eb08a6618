"""The first schema: runs, passes, their stages and what these measured, packs, decisions and the live pointer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    _of_runs_and_passes()
    _of_measurements()
    _of_judgements()


def _of_runs_and_passes() -> None:
    op.create_table(
        "run",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("started_at", sa.String(), nullable=False),
        sa.Column("ended_at", sa.String()),
        sa.Column("passes_limit", sa.Integer()),
        sa.Column("hours_limit", sa.Float()),
        sa.Column("passes_done", sa.Integer(), nullable=False),
        sa.Column("end_reason", sa.String()),
    )
    op.create_table(
        "pass",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("verdict", sa.String()),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("recipe", sa.String(), nullable=False),
        sa.Column("parent", sa.String(), nullable=False),
        sa.Column("live_before", sa.String(), nullable=False),
        sa.Column("pack", sa.String()),
        sa.Column("feedback", sa.String()),
        sa.Column("started_at", sa.String(), nullable=False),
        sa.Column("ended_at", sa.String()),
    )
    op.create_table(
        "stage",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("output", sa.String()),
        sa.Column("error", sa.String()),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
    )
    op.create_index("ix_stage_scope", "stage", ["scope"])


def _of_measurements() -> None:
    op.create_table(
        "bench_result",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("pack", sa.String(), nullable=False),
        sa.Column("occasion", sa.String(), nullable=False),
        sa.Column("task_id", sa.String(), nullable=False),
        sa.Column("bench", sa.String(), nullable=False),
        sa.Column("split", sa.String(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("envelope", sa.String(), nullable=False),
        sa.UniqueConstraint("pack", "occasion", "task_id"),
    )
    op.create_index("ix_bench_result_pack", "bench_result", ["pack"])
    op.create_table(
        "confirmation",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("pack", sa.String(), nullable=False),
        sa.Column("task_id", sa.String(), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("passed", sa.Integer(), nullable=False),
        sa.UniqueConstraint("pack", "task_id"),
    )
    op.create_index("ix_confirmation_pack", "confirmation", ["pack"])
    op.create_table(
        "pack",
        sa.Column("digest", sa.String(), primary_key=True),
        sa.Column("parent", sa.String()),
        sa.Column("pass_number", sa.Integer()),
        sa.Column("manifest", sa.String(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
    )


def _of_judgements() -> None:
    op.create_table(
        "decision",
        sa.Column("seq", sa.Integer(), primary_key=True),
        sa.Column("decision_id", sa.String(), nullable=False),
        sa.Column("pass_number", sa.Integer()),
        sa.Column("phase", sa.String()),
        sa.Column("verdict", sa.String()),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("record", sa.String(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.UniqueConstraint("decision_id"),
    )
    op.create_index("ix_decision_pass_number", "decision", ["pass_number"])
    op.create_table(
        "live",
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("pack", sa.String(), nullable=False),
        sa.Column("decision_id", sa.String(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
    )
