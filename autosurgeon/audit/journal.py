"""`logs/decisions.jsonl`: one line a decision, a projection of the store that only grows."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from autosurgeon.core.decision import Decision
from autosurgeon.core.digest import canonical_json
from autosurgeon.errors import durably


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
