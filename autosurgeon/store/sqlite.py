"""SQLite with the behaviour of PostgreSQL: durable commits and explicit transactions.

A read-only file is read in place or, where SQLite needs auxiliary files that cannot be made, from a temporary copy.
"""

from __future__ import annotations

import functools
import shutil
import sqlite3
import tempfile
import time
import weakref
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, NullPool, create_engine, event

from autosurgeon.core.file_uri import file_uri
from autosurgeon.errors import WorkspaceError

BESIDE = ("", "-wal", "-journal")
"""Suffixes of the files with a database's content; `-shm` is only an index of the second."""
Signature = tuple[tuple[int, int] | None, ...]
"""Size and time of change of each of these files; None for a missing one."""
TRIES = 20


class Copy:
    """A copy of a database in a folder of its own, removed with the last reference to it."""

    def __init__(self) -> None:
        folder = tempfile.mkdtemp(prefix="autosurgeon-look-")
        self.path = Path(folder) / "copy.db"
        # Not TemporaryDirectory, which warns when the garbage collector removes it.
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)


def sqlite_engine(url: URL) -> Engine:
    """The engine of a file, which is created if missing."""
    engine = create_engine(url)
    event.listen(engine, "connect", _set_pragmas)
    return engine


def looking_engine(path: Path) -> Engine:
    """A read-only engine, also to inspect a file before changing it."""
    return create_engine("sqlite://", creator=lambda: _connect(path), poolclass=NullPool)


def copied_engine(path: Path) -> Engine:
    """The engine of a new copy, which may be changed and is removed with the engine."""
    copy = _copy(path)
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(copy.path), poolclass=NullPool)
    event.listen(engine, "connect", _set_pragmas)
    return engine


def _connect(path: Path) -> sqlite3.Connection:
    # Without these files no process has the database open, and SQLite need not create them.
    if not any(path.with_name(path.name + ending).exists() for ending in BESIDE[1:]):
        return sqlite3.connect(file_uri(path, mode="ro", immutable="1"), uri=True)
    connection = sqlite3.connect(file_uri(path, mode="ro"), uri=True)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        # An unopened write-ahead log needs an index file, which a read-only folder refuses.
        connection = sqlite3.connect(_kept_copy(path, _signature(path)).path)
    return connection


@functools.lru_cache(maxsize=1)
def _kept_copy(path: Path, _: Signature) -> Copy:
    return _copy(path)


def _copy(path: Path) -> Copy:
    """A consistent copy of a database and its auxiliary files; WorkspaceError where there is none."""
    try:
        copy = Copy()
        for _ in range(TRIES):
            before = _signature(path)
            for ending in BESIDE:
                target = copy.path.with_name(copy.path.name + ending)
                target.unlink(missing_ok=True)
                if path.with_name(path.name + ending).exists():
                    shutil.copyfile(path.with_name(path.name + ending), target)
            if before == _signature(path):
                return copy
            time.sleep(0.1)
    except OSError as error:
        wanted = "TMPDIR with room for it"
        raise WorkspaceError(
            "a database that is only looked at cannot be copied", got=error.strerror, wanted=wanted, where=path
        ) from error
    raise WorkspaceError("a database changes all the time, and cannot be looked at from here; try again", where=path)


def _signature(path: Path) -> Signature:
    found: list[tuple[int, int] | None] = []
    for ending in BESIDE:
        try:
            stat = path.with_name(path.name + ending).stat()
            found.append((stat.st_size, stat.st_mtime_ns))
        except FileNotFoundError:
            found.append(None)
    return tuple(found)


def _set_pragmas(connection: Any, _: Any) -> None:
    # The driver would begin a transaction at the first write, after the reads.
    connection.isolation_level = None
    # WAL with FULL: commits are durable, at a fifth of the cost of the rollback journal.
    for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
