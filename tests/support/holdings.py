"""What a workspace holds that no command may lose, read past the product; and what a command lost."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from autosurgeon.core.workspace import Workspace


class Holdings(NamedTuple):
    """A workspace at one moment."""

    live_file: int
    """The version that live.json names; 0 where it names none."""
    live: int | None
    """The version that the memory names; None where the memory cannot be read."""
    decided: tuple[str, ...] | None
    """The memory's decisions, likewise."""
    decisions: tuple[bytes, ...]
    """Whole lines of the decision log."""
    events: tuple[bytes, ...]
    files: dict[str, str]
    """Digests of checkpoints, keys, packs, reports, and of what a person wrote."""


KEPT = ("logs/checkpoints/*", "data/keys/*", "data/packs/*/*", "reports/*", "organ/*", "*.jsonl", "autosurgeon.toml")


def holdings(root: Path) -> Holdings:
    """What is in a workspace now."""
    place = Workspace(root)
    live, decided = _memory(place.database)
    return Holdings(
        live_file=_live_version(place.live_file),
        live=live,
        decided=decided,
        decisions=_lines(place.decisions),
        events=_lines(place.events),
        files={
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for pattern in KEPT
            for path in root.glob(pattern)
            if path.is_file() and path.stat().st_size < 1 << 30
        },
    )


def lost(before: Holdings, after: Holdings, may_change: Iterable[str] = ()) -> list[str]:
    """What is less than it was, in words.

    Args:
        before: at first.
        after: at last.
        may_change: the beginnings of paths that the command is there to change or remove.

    """
    found = []
    if after.live_file < before.live_file:
        found.append(f"live.json went from version {before.live_file} to {after.live_file}")
    if before.live is not None and (after.live is None or after.live < before.live):
        found.append(f"the memory's live went from version {before.live} to {after.live}")
    if before.decided is not None and (after.decided or ())[: len(before.decided)] != before.decided:
        found.append("the memory lost decisions")
    for name, old, new in (("decisions", before.decisions, after.decisions), ("events", before.events, after.events)):
        if set(old) - set(new):
            found.append(f"the log of {name} lost {len(set(old) - set(new))} lines")
    for path, digest in before.files.items():
        if after.files.get(path) != digest and not path.startswith(tuple(may_change)):
            found.append(f"{path} {'changed' if path in after.files else 'is gone'}")
    return found


def _live_version(path: Path) -> int:
    try:
        return int(json.loads(path.read_bytes())["version"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0


def _memory(path: Path) -> tuple[int | None, tuple[str, ...] | None]:
    if not path.is_file():
        return None, None
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            live = connection.execute("SELECT coalesce(max(version), 0) FROM live").fetchone()[0]
            decided = connection.execute("SELECT decision_id FROM decision ORDER BY seq").fetchall()
    except sqlite3.Error:
        return None, None
    return int(live), tuple(row[0] for row in decided)


def _lines(path: Path) -> tuple[bytes, ...]:
    if not path.is_file() or path.stat().st_size > 1 << 30:
        return ()
    return tuple(path.read_bytes().split(b"\n")[:-1])
