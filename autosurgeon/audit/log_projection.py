"""The append-only projections `logs/decisions.jsonl` and `logs/events.jsonl`, one decision or event per line."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from autosurgeon.core.decision import Decision
from autosurgeon.core.digest import canonical_json
from autosurgeon.core.hash_chain import Event, line_of
from autosurgeon.errors import durably
from autosurgeon.failpoints import reach

CHUNK_BYTES = 1 << 16


def project(
    path: Path, place_of: Callable[[str], int | None], decisions_after: Callable[[int], Iterable[Decision]]
) -> int:
    """Append the decisions newer than the newest one in the file; return how many.

    An incomplete last line, left by a crash, is removed first: the store still has that decision. Earlier lines are
    checked by `audit verify`, not here. A failed write is a DurabilityError.

    Args:
        path: the log.
        place_of: a decision's place in the order of decisions; None for an unknown id.
        decisions_after: the decisions after that place; 0 for all.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    missing = iter(decisions_after(0 if is_new else _last_place(path, place_of)))
    first = next(missing, None)
    if first is None:
        return 0
    added = 0
    with path.open("ab") as file:
        for decision in itertools.chain((first,), missing):
            file.write(f"{canonical_json(decision.record())}\n".encode())
            added += 1
        file.flush()
        with durably(path):
            reach("decisions-appended")
            os.fsync(file.fileno())
    if is_new:
        _flush_folder(path.parent)
    return added


def _flush_folder(folder: Path) -> None:
    """Flush the folder: otherwise a power cut may lose the name of a new file whose content is flushed."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with durably(folder):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _last_place(path: Path, place_of: Callable[[str], int | None]) -> int:
    """Find the place of the newest decision in the file, 0 without any; remove an incomplete last line."""
    with path.open("rb+") as file:
        for line in _lines_backwards(file):
            try:
                place = place_of(str(json.loads(line)["decision_id"]))
            except (ValueError, KeyError, TypeError):
                continue  # `audit verify` reports the line; the store's decisions are appended after it
            if place is not None:
                return place
    return 0


def project_events(path: Path, events_after: Callable[[int], Iterable[Event]]) -> int:
    """Append the events that the file lacks; return how many.

    Args:
        path: the log; an incomplete last line is removed first.
        events_after: the events after that number.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    added = 0
    with path.open("ab+") as file:
        last = _last_seq(file)
        for event in events_after(last):
            file.write(line_of(event))
            added += 1
        file.flush()
        with durably(path):
            reach("events-appended")
            os.fsync(file.fileno())
    return added


def _last_seq(file: BinaryIO) -> int:
    """Read the number on the last complete line; remove what follows that line."""
    line = next(_lines_backwards(file), None)
    if line is None:
        return 0
    try:
        return int(json.loads(line)["seq"])
    except (ValueError, KeyError, TypeError):
        # The number of lines is the best guess; `audit verify` reports the fault.
        file.seek(0)
        return sum(1 for _ in file)


def _lines_backwards(file: BinaryIO) -> Iterator[bytes]:
    """Yield the complete lines of a file, last first, without line ends; remove what follows the last one."""
    size = start = file.seek(0, os.SEEK_END)
    tail, is_whole = b"", False
    while start:
        begin = max(0, start - CHUNK_BYTES)
        file.seek(begin)
        tail, start = file.read(start - begin) + tail, begin
        if not is_whole:
            end = tail.rfind(b"\n")
            if end < 0:
                continue
            file.truncate(start + end + 1)
            tail, is_whole = tail[:end], True
        tail, *lines = tail.split(b"\n")
        yield from reversed(lines)
    if is_whole:
        yield tail
    elif size:
        file.truncate(0)
