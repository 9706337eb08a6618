"""A new memory takes the place of an old one, which is kept aside under a name that says when; nothing is deleted."""

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
    """Let a new memory take the old one's place, by one rename or in one transaction; where the old one is kept.

    Args:
        built: the new memory, a SQLite file in the workspace; it is gone afterwards.
        where: the place that the settings name.
        stamp: a moment, for the old one's name.
        progress: told of rows that go into a PostgreSQL database, and of how many there are.

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
        # Its log belongs to the old file alone: SQLite would take it for the new one's.
        for suffix in ("-wal", "-shm", "-journal"):
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(kept.with_name(kept.name + suffix))
        aside.append(kept)
    move(built, path)
    return aside


def _fold_in_log(path: Path) -> None:
    """Let SQLite write its log into the old file, where both can still be read."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _keep(path: Path, kept: Path) -> None:
    """Give a file a second name, so that its own is never without a file."""
    try:
        os.link(path, kept)
    except OSError:
        kept.write_bytes(path.read_bytes())
    flush(path.parent)


def move_aside(path: Path, stamp: str) -> Path:
    """Give a file a name that says when it was moved out of the way; its new path."""
    target = _free_name(path, stamp)
    move(path, target)
    return target


def _free_name(path: Path, stamp: str) -> Path:
    target, number = path.with_name(f"{path.name}.aside-{stamp}"), 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.aside-{stamp}-{number}")
    return target
