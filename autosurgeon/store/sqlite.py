"""What SQLite needs to behave as PostgreSQL does: commits that are on disk, transactions that begin when we say so."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, NullPool, create_engine, event


def sqlite_engine(url: URL) -> Engine:
    """An engine of a file, which is made when it is not there."""
    engine = create_engine(url)
    event.listen(engine, "connect", _set_pragmas)
    return engine


def looking_engine(path: Path) -> Engine:
    """An engine that cannot write: to learn whose file it is before anything is changed in it."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    # With neither of these beside it, nobody has the file open, and SQLite need not make them to be safe from others.
    if not any(path.with_name(path.name + suffix).exists() for suffix in ("-wal", "-journal")):
        address += "&immutable=1"
    return create_engine("sqlite://", creator=lambda: sqlite3.connect(address, uri=True), poolclass=NullPool)


def _set_pragmas(connection: Any, _: Any) -> None:
    # The driver would begin a transaction at the first write, which is too late for what was read before it.
    connection.isolation_level = None
    # WAL with FULL: a commit is on disk when it returns, at a fifth of the cost of the rollback journal.
    for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
