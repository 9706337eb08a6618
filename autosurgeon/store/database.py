"""Opening the database, and its read and write transactions, on SQLite and PostgreSQL."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from autosurgeon.errors import StoreError, WorkspaceError
from autosurgeon.failpoints import reach
from autosurgeon.store.address import public_name, read_address, without_secrets
from autosurgeon.store.migrate import Found, bring_up_to_date, read_revision
from autosurgeon.store.postgres import WRITER_LOCK, postgres_engine
from autosurgeon.store.row_digests import Written
from autosurgeon.store.sqlite import copied_engine, looking_engine, sqlite_engine

READS: dict[str, dict[str, Any]] = {
    "sqlite": {"writes": False},
    "postgresql": {"writes": False, "isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}
WRITES: dict[str, dict[str, Any]] = {
    "sqlite": {"writes": True},
    # The holder of the lock sees all earlier commits, so that one writer at a time needs no serialization.
    "postgresql": {"writes": True, "isolation_level": "READ COMMITTED"},
}


RESTORE = "`autosurgeon restore`, which makes the memory again from the logs and keeps the damaged file aside"


def is_damage(words: str) -> bool:
    """Whether a driver's message means a damaged SQLite file."""
    return any(word in words for word in ("malformed", "not a database", "corrupt"))


def utc_now() -> str:
    """The present moment, ISO 8601 with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def open_database(where: Path | str, *, create: bool, look_only: bool = False) -> Engine:
    """The engine of a workspace's database, at the current schema.

    Args:
        where: a SQLite file, or the URL of a PostgreSQL database.
        create: create the tables where there are none.
        look_only: write nothing; an older schema is upgraded in a copy.

    Raises:
        WorkspaceError: there is none and `create` is false, it cannot be reached, is no database, holds something
            else, or is of a newer schema. Nothing was written then.

    """
    url = read_address(where)
    path = Path(url.database or "") if url.get_backend_name() == "sqlite" else None
    if path is not None and not create and not path.is_file():
        raise _nothing_here(path.parent.parent)
    engine = postgres_engine(url) if path is None else looking_engine(path) if look_only else sqlite_engine(url)
    event.listen(engine, "begin", begin_transaction)
    try:
        found = _look(engine, path)
        if found.revision is None and not create:
            raise _nothing_here(path.parent.parent if path else public_name(url))
        if path is not None and create:
            path.parent.mkdir(parents=True, exist_ok=True)
        if not found.up_to_date and look_only:
            engine.dispose()
            engine = _upgraded_copy(url, path, found)
        if not found.up_to_date:
            with writing(engine).begin() as connection:
                bring_up_to_date(connection, public_name(url))
        # The first real connection, so that an unusable file is an error at the start.
        reading(engine).connect().close()
    except DBAPIError as error:
        engine.dispose()
        got = without_secrets(url, error.orig)
        server = "a server that answers at store.url, and a database there: `createdb NAME` makes one"
        wanted = server if path is None else RESTORE if is_damage(got) else None
        raise WorkspaceError(
            "a workspace's database cannot be opened", got=got, wanted=wanted, where=public_name(url)
        ) from error
    except WorkspaceError:
        engine.dispose()
        raise
    return engine


def _upgraded_copy(url: URL, path: Path | None, found: Found) -> Engine:
    """The engine of a copy at the current schema; WorkspaceError for PostgreSQL."""
    if path is None:
        raise WorkspaceError(
            "a workspace that is only looked at is of an older schema",
            got=f"schema {found.revision}",
            wanted="`autosurgeon status` run on it once where it can be written, which brings it up to date",
            where=public_name(url),
        )
    engine = copied_engine(path)
    event.listen(engine, "begin", begin_transaction)
    return engine


def has_memory(where: Path | str) -> bool:
    """Whether the tables of a memory exist, empty or not; True where that is unknown. Nothing is written."""
    url = read_address(where)
    path = Path(url.database or "") if url.get_backend_name() == "sqlite" else None
    if path is not None and not path.is_file():
        return False
    engine = postgres_engine(url) if path is None else looking_engine(path)
    event.listen(engine, "begin", begin_transaction)
    try:
        return _look(engine, path).revision is not None
    except (DBAPIError, WorkspaceError):
        return True  # opening it fails with the reason
    finally:
        engine.dispose()


def _nothing_here(where: Path | str) -> WorkspaceError:
    return WorkspaceError("there is no workspace here; `autosurgeon run --workspace DIR` makes one", where=where)


def _look(engine: Engine, path: Path | None) -> Found:
    """The schema of the database, read without a write."""
    if path is None:
        with reading(engine).begin() as connection:
            return read_revision(connection, public_name(engine.url))
    if not path.is_file():
        return Found(None, False)
    with looking_engine(path).connect() as connection:
        return read_revision(connection, str(path))


@contextlib.contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """One write transaction, committed at the end or not at all; StoreError when the database fails.

    Its last event holds digests of its rows. Other writers wait from its beginning, so what it reads stays valid.
    """
    with _session(writing(engine)) as session:
        written = Written(session)
        yield session
        written.append_event(session, utc_now())
        session.flush()
        reach("transaction-written")
    reach("transaction-committed")


@contextlib.contextmanager
def snapshot(engine: Engine) -> Iterator[Session]:
    """A read-only transaction on one state of the database, which waits for no writer."""
    with _session(reading(engine)) as session:
        yield session


@contextlib.contextmanager
def _session(engine: Engine) -> Iterator[Session]:
    try:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            # The transaction begins here and not with the first statement.
            session.connection()
            yield session
    except (DBAPIError, sqlite3.Error) as error:
        cause = without_secrets(engine.url, getattr(error, "orig", error))
        todo = f"; see {RESTORE}" if is_damage(cause) else ""
        raise StoreError(f"the store failed, so the loop stops: {cause}{todo}") from error


def reading(engine: Engine) -> Engine:
    """The engine for read transactions."""
    return engine.execution_options(**READS[engine.dialect.name])


def writing(engine: Engine) -> Engine:
    """The engine for write transactions."""
    return engine.execution_options(**WRITES[engine.dialect.name])


def begin_transaction(connection: Connection) -> None:
    """Begin a transaction by the connection's options; a listener of the engine."""
    writes = connection.get_execution_options()["writes"]
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA query_only={int(not writes)}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
    elif writes:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})"))
