"""Alembic's environment: run the migrations on the store's connection, inside its transaction.

A change of `store/tables.py` needs a new hand-written file in `versions/` with the next number; existing files stay
unchanged. Downgrades are not supported; keep a copy of the database to return to an older schema.
"""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
