"""Opening the database: pragmas for durability, the schema's version, errors in our own words."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, SQLModel

from autosurgeon.errors import StoreError, WorkspaceError
from autosurgeon.store.events import adopt
from autosurgeon.store.tables import SCHEMA_VERSION


def utc_now() -> str:
    """The present moment, ISO 8601 with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _set_pragmas(connection: Any, _: Any) -> None:
    # WAL with FULL: a commit is on disk when it returns, at a fifth of the cost of the rollback journal.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def open_database(path: Path, *, create: bool) -> Engine:
    """The engine of a workspace's database.

    Raises:
        WorkspaceError: there is none and `create` is false, it is no database, or of a newer schema.

    """
    if not create and not path.is_file():
        raise WorkspaceError(
            "there is no workspace here; `autosurgeon run --workspace DIR` makes one", where=path.parent.parent
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", _set_pragmas)
    try:
        with engine.begin() as connection:
            found = connection.execute(text("PRAGMA user_version")).scalar_one()
            if found > SCHEMA_VERSION:
                raise WorkspaceError(
                    "a workspace was written by a newer autosurgeon; upgrade this one",
                    got=f"schema {found}",
                    wanted=f"at most {SCHEMA_VERSION}",
                    where=path,
                )
            if found < SCHEMA_VERSION:
                SQLModel.metadata.create_all(connection)
                adopt(connection, utc_now())
                connection.execute(text(f"PRAGMA user_version={SCHEMA_VERSION}"))
    except DBAPIError as error:
        engine.dispose()
        raise WorkspaceError("a workspace's database cannot be opened", got=error.orig, where=path) from error
    except WorkspaceError:
        engine.dispose()
        raise
    return engine


@contextlib.contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """One transaction: committed at the end, or nothing of it. StoreError when the database fails."""
    try:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session
    except (DBAPIError, sqlite3.Error) as error:
        raise StoreError(f"the store failed, so the loop stops: {getattr(error, 'orig', error)}") from error
