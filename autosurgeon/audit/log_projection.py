"""`logs/decisions.jsonl` and `logs/events.jsonl`: a line a decision or event, projections that only grow."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from autosurgeon.core.chain import Event, line_of
from autosurgeon.core.decision import Decision
from autosurgeon.core.digest import canonical_json
from autosurgeon.errors import durably
from autosurgeon.failpoints import reach

CHUNK_BYTES = 1 << 16


def project(
    path: Path, place_of: Callable[[str], int | None], decisions_after: Callable[[int], Iterable[Decision]]
) -> int:
    """Append the decisions that were made since the newest one in the file; how many that were.

    A last line that was cut short by a crash is taken off first: the store still has that decision. What stands further
    up is not looked at here, but by `audit verify`. Where the disk does not take what is written, that is a
    DurabilityError.

    Args:
        path: the log.
        place_of: a decision's place in the order of decisions; None for an id that is not known.
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
    """Without this, a power cut may take the name of a new file, however well its content was flushed."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with durably(folder):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _last_place(path: Path, place_of: Callable[[str], int | None]) -> int:
    """The place of the newest decision in the file, 0 where it holds none; a line that was cut short is taken off."""
    with path.open("rb+") as file:
        for line in _lines_backwards(file):
            try:
                place = place_of(str(json.loads(line)["decision_id"]))
            except (ValueError, KeyError, TypeError):
                continue  # not ours to judge here; what the store has is written below it
            if place is not None:
                return place
    return 0


def project_events(path: Path, events_after: Callable[[int], Iterable[Event]]) -> int:
    """Append the events that the file does not hold yet; how many that were.

    Args:
        path: the log; a last line that was cut short is taken off first.
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
    """The number on the last whole line; what comes after that line is taken off."""
    line = next(_lines_backwards(file), None)
    if line is None:
        return 0
    try:
        return int(json.loads(line)["seq"])
    except (ValueError, KeyError, TypeError):
        # Not ours to mend: the number of lines is the best guess, and `audit verify` tells what is wrong.
        file.seek(0)
        return sum(1 for _ in file)


def _lines_backwards(file: BinaryIO) -> Iterator[bytes]:
    """The whole lines of a file from its last one on, without their ends; what comes after the last is taken off."""
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
