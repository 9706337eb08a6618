"""Indexes for what is asked of a long history, and the tasks that ever were training rows, gathered once."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

from autosurgeon.store.trained_rows import rows_of

revision = "0005"
down_revision = "0004"

# Beside `CLIMB` of the tables, whose spelling an index of that day keeps.
CLIMBED_SQLITE = "json_extract(feedback, '$.value') > 0"
CLIMBED_POSTGRESQL = """CAST(substring(feedback from '"value":([-+.0-9e]+)') AS FLOAT) > 0"""


def upgrade() -> None:
    """Make the indexes and the table, with what the datasets so far hold."""
    op.create_index("ix_pass_state", "pass", ["state"])
    op.create_index(
        "ix_pass_climbed",
        "pass",
        ["number"],
        sqlite_where=sa.text(CLIMBED_SQLITE),
        postgresql_where=sa.text(CLIMBED_POSTGRESQL),
    )
    op.create_index("ix_stage_name", "stage", ["name"])
    op.create_index("ix_stage_seconds", "stage", ["seconds"])
    op.drop_index("ix_anchor_run_task_id", "anchor_run")
    op.create_index("ix_anchor_run_newest", "anchor_run", ["task_id", "id"])
    taught = op.create_table(
        "taught",
        sa.Column("task_id", sa.String(), primary_key=True),
        sa.Column("poison_pass", sa.Integer()),
    )
    first: dict[str, int | None] = {}
    query = sa.text("SELECT scope, output FROM stage WHERE name = 'dataset' AND output IS NOT NULL")
    for scope, output in op.get_bind().execute(query):
        for task_id, number in rows_of(scope, json.loads(output)):
            known = first.get(task_id)
            first[task_id] = known if number is None else number if known is None else min(known, number)
    if first:
        op.bulk_insert(taught, [{"task_id": task, "poison_pass": number} for task, number in first.items()])
