"""Copies of a whole memory, from one snapshot, between SQLite files and PostgreSQL databases."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy
from sqlalchemy import Connection, Integer, Table
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel

from autosurgeon.errors import StoreError
from autosurgeon.store.address import without_secrets
from autosurgeon.store.database import is_damage, open_database, reading, writing

Progress = Callable[[int, int], None]
"""Called with what is done and with the total."""
PART = 500
PAGES = 1024
"""The number of SQLite pages per step."""


def copy_memory(where: Path | str, target: Path, progress: Progress) -> None:
    """Copy a memory into a new SQLite file, from one snapshot; a loop may be running.

    Raises:
        StoreError: it cannot be read to the end.
        WorkspaceError: a PostgreSQL database cannot be opened.

    """
    if isinstance(where, Path):
        _copy_file(where, target, progress)
        return
    source = open_database(where, create=False)
    try:
        with new_memory(target) as new, reading(source).begin() as old:
            copy_tables(old, new, progress)
    except DBAPIError as error:
        raise StoreError(f"the memory cannot be copied: {without_secrets(source.url, error.orig)}") from error
    finally:
        source.dispose()


def _copy_file(path: Path, target: Path, progress: Progress) -> None:
    """By SQLite's online backup."""
    # Without these files no process has it open, and a read-only folder is no obstacle.
    is_open = any(path.with_name(path.name + suffix).exists() for suffix in ("-wal", "-journal"))
    address = f"{path.absolute().as_uri()}?mode=ro{'' if is_open else '&immutable=1'}"
    try:
        with (
            closing(sqlite3.connect(address, uri=True, isolation_level=None)) as old,
            closing(sqlite3.connect(target)) as new,
        ):
            # Within one read transaction: otherwise each write of a running loop would restart the copy.
            old.execute("BEGIN")
            old.execute("SELECT count(*) FROM sqlite_master").fetchone()
            old.backup(new, pages=PAGES, progress=lambda _, left, total: progress(total - left, total))
            new.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        todo = "; see `autosurgeon restore`" if is_damage(str(error)) else ""
        raise StoreError(f"the memory cannot be copied: {error}{todo} ({path})") from error


@contextmanager
def new_memory(path: Path) -> Iterator[Connection]:
    """A transaction in a new SQLite memory; SQLite's auxiliary files are removed at the end."""
    engine = open_database(path, create=True)
    try:
        with writing(engine).begin() as connection:
            yield connection
    finally:
        engine.dispose()


def replace_memory(source: Path, where: str, progress: Progress) -> None:
    """Replace the memory in a PostgreSQL database by that of a SQLite file, in one transaction."""
    target, old = open_database(where, create=True), open_database(source, create=False)
    try:
        with reading(old).begin() as found, writing(target).begin() as new:
            for table in reversed(SQLModel.metadata.sorted_tables):
                new.execute(table.delete())
            copy_tables(found, new, progress)
            for table in SQLModel.metadata.sorted_tables:
                _continue_numbers(new, table)
    except DBAPIError as error:
        raise StoreError(f"the memory cannot be replaced: {without_secrets(target.url, error.orig)}") from error
    finally:
        target.dispose()
        old.dispose()


def copy_tables(source: Connection, target: Connection, progress: Progress) -> None:
    """Copy every row of every table into empty tables."""
    tables = SQLModel.metadata.sorted_tables
    count = sqlalchemy.func.count()
    total = sum(source.execute(sqlalchemy.select(count).select_from(table)).scalar_one() for table in tables)
    done = 0
    for table in tables:
        query = sqlalchemy.select(table).order_by(*table.primary_key).execution_options(yield_per=PART)
        for part in source.execute(query).mappings().partitions(PART):
            target.execute(table.insert(), [dict(row) for row in part])
            done += len(part)
            progress(done, total)


def _continue_numbers(connection: Connection, table: Table) -> None:
    """Continue PostgreSQL's sequence after the numbers of the copied rows."""
    (place, *others) = table.primary_key
    if others or not isinstance(place.type, Integer):
        return
    quoted = connection.dialect.identifier_preparer.quote(table.name)
    named = connection.execute(
        sqlalchemy.select(sqlalchemy.func.pg_get_serial_sequence(quoted, place.name))
    ).scalar_one()
    last = connection.execute(sqlalchemy.select(sqlalchemy.func.max(place))).scalar_one()
    if named is not None and last is not None:
        connection.execute(sqlalchemy.select(sqlalchemy.func.setval(named, last)))
