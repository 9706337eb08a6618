"""`logs/decisions.jsonl` and `logs/events.jsonl`: a line a decision or event, projections that only grow."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from autosurgeon.core.chain import Event, line_of
from autosurgeon.core.decision import Decision
from autosurgeon.core.digest import canonical_json
from autosurgeon.errors import durably
from autosurgeon.failpoints import reach

CHUNK_BYTES = 1 << 16


def project(path: Path, decisions: Sequence[Decision]) -> int:
    """Append the decisions that the file does not hold yet; how many that were.

    A last line that was cut short by a crash is taken off first: the store still has that decision. Where the disk
    does not take what is written, that is a DurabilityError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    held = _held(path)
    missing = [decision for decision in decisions if decision.decision_id not in held]
    if missing:
        with path.open("a", encoding="utf-8") as file:
            file.writelines(canonical_json(decision.record()) + "\n" for decision in missing)
            file.flush()
            with durably(path):
                reach("decisions-appended")
                os.fsync(file.fileno())
    if missing and is_new:
        _flush_folder(path.parent)
    return len(missing)


def _flush_folder(folder: Path) -> None:
    """Without this, a power cut may take the name of a new file, however well its content was flushed."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with durably(folder):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _held(path: Path) -> set[str]:
    if not path.is_file():
        return set()
    raw = path.read_bytes()
    whole = raw[: raw.rfind(b"\n") + 1]
    if len(whole) < len(raw):
        os.truncate(path, len(whole))
    held = set()
    for line in whole.splitlines():
        try:
            held.add(json.loads(line)["decision_id"])
        except (ValueError, KeyError, TypeError):
            continue  # not ours to judge here; the store's copy of that decision is written again below it
    return held


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
    """The number on the last whole line, read from the end backwards; what comes after that line is taken off."""
    end = file.seek(0, os.SEEK_END)
    tail, start = b"", end
    # Two line ends make one whole line, unless the file begins with it.
    while start and tail.count(b"\n") < 2:
        start = max(0, start - CHUNK_BYTES)
        file.seek(start)
        tail = file.read(end - start)
    whole = tail[: tail.rfind(b"\n") + 1]
    if len(whole) < len(tail):
        file.truncate(start + len(whole))
    if not whole:
        return 0
    try:
        return int(json.loads(whole.splitlines()[-1])["seq"])
    except (ValueError, KeyError, TypeError):
        # Not ours to mend: the number of lines is the best guess, and `audit verify` tells what is wrong.
        file.seek(0)
        return sum(1 for _ in file)
