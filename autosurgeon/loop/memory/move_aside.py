"""Replacing a memory: the old one is kept under a name with the time; nothing is deleted."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from autosurgeon.packs.files import flush, move
from autosurgeon.store.copy_memory import copy_memory, replace_memory
from autosurgeon.store.database import has_memory
from autosurgeon.store.sqlstore import SqlStore


def put_in_place(built: Path, where: Path | str, stamp: str, progress: Callable[[int, int], None]) -> list[Path]:
    """Replace the old memory by a new one, by one rename or in one transaction; return the paths of the old one.

    Args:
        built: the new memory, a SQLite file in the workspace, which is moved.
        where: the address in the settings.
        stamp: the time, for the old one's name.
        progress: called with the rows copied into a PostgreSQL database, and with their total.

    """
    if not isinstance(where, Path):
        aside = []
        if has_memory(where):
            kept = built.with_name(f"memory.aside-{stamp}.db")
            copy_memory(where, kept, lambda done, total: None)
            aside.append(kept)
        with contextlib.closing(SqlStore(where, create=True)) as store, store.sole_loop():
            replace_memory(built, where, progress)
        built.unlink()
        return aside
    path, aside = where, []
    flush(built)
    if path.exists():
        _fold_in_log(path)
        kept = _free_name(path, stamp)
        _keep(path, kept)
        # The write-ahead log belongs to the old file; SQLite would apply it to the new one.
        for suffix in ("-wal", "-shm", "-journal"):
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(kept.with_name(kept.name + suffix))
        aside.append(kept)
    move(built, path)
    return aside


def _fold_in_log(path: Path) -> None:
    """Let SQLite write its log into the old file, if both are readable."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _keep(path: Path, kept: Path) -> None:
    """Link a file under a second name, so that its own name never lacks a file."""
    try:
        os.link(path, kept)
    except OSError:
        kept.write_bytes(path.read_bytes())
    flush(path.parent)


def move_aside(path: Path, stamp: str) -> Path:
    """Rename a file to a name with the time; return its new path."""
    target = _free_name(path, stamp)
    move(path, target)
    return target


def _free_name(path: Path, stamp: str) -> Path:
    target, number = path.with_name(f"{path.name}.aside-{stamp}"), 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.aside-{stamp}-{number}")
    return target
