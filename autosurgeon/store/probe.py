"""Testing a database without changing it: its schema, and whether it is writable."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from autosurgeon.errors import WorkspaceError
from autosurgeon.store.address import public_name, read_address, without_secrets
from autosurgeon.store.migrate import Found, read_revision
from autosurgeon.store.postgres import postgres_engine
from autosurgeon.store.sqlite import looking_engine

PROBE_TABLE = "autosurgeon_probe"


def probe_database(where: Path | str) -> str:
    """Describe the database at an address; nothing is created, upgraded or left there.

    Args:
        where: a SQLite file, or the URL of a PostgreSQL database.

    Raises:
        WorkspaceError: it does not answer, is of a newer schema or another program, or is not writable.

    """
    return _probe_file(where) if isinstance(where, Path) else _probe_server(where)


def _probe_file(path: Path) -> str:
    if not path.exists():
        return "no memory yet; the first `autosurgeon run` makes it"
    try:
        with looking_engine(path).connect() as connection:
            found = read_revision(connection, str(path))
    except DBAPIError as error:
        raise WorkspaceError("a workspace's database cannot be read", got=error.orig, where=path) from error
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        return f"{_in_words(found)}; it can be read and not written, so `run` cannot use it"
    return _in_words(found)


def _probe_server(where: str) -> str:
    url = read_address(where)
    engine = postgres_engine(url)
    try:
        with engine.connect() as connection:
            found = read_revision(connection, public_name(url))
            connection.rollback()
            # Rolled back: PostgreSQL creates tables within a transaction.
            connection.execute(text(f"CREATE TABLE {PROBE_TABLE} (number integer)"))
            connection.execute(text(f"INSERT INTO {PROBE_TABLE} VALUES (1)"))
            connection.rollback()
    except DBAPIError as error:
        raise WorkspaceError(
            "the database at store.url cannot be used",
            got=without_secrets(url, error.orig),
            wanted="a server that answers there, and a database that its user may make tables in: `createdb NAME`",
            where=public_name(url),
        ) from error
    finally:
        engine.dispose()
    return f"{public_name(url)}: {_in_words(found)}; it can be written"


def _in_words(found: Found) -> str:
    if found.revision is None:
        return "nothing in it yet; the first `autosurgeon run` makes its tables"
    return f"schema {found.revision}" + ("" if found.up_to_date else ", brought up to date when it is next opened")
