"""What Alembic runs: the migrations, on the connection that the store hands over, inside its transaction.

A change of `store/tables.py` is a new file in `versions/`, written by hand and numbered on; those that are there stay
as they are. There is no way back: downgrades are not supported. Whoever may want the older schema again keeps a copy.
"""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
