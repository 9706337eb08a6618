"""`logs/decisions.jsonl`: one line a decision, a projection of the store that only grows."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from autosurgeon.core.decision import Decision
from autosurgeon.core.digest import canonical_json


def project(path: Path, decisions: Sequence[Decision]) -> int:
    """Append the decisions that the file does not hold yet; how many that were.

    A last line that was cut short by a crash is taken off first: the store still has that decision.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    held = _held(path)
    missing = [decision for decision in decisions if decision.decision_id not in held]
    if missing:
        with path.open("a", encoding="utf-8") as file:
            file.writelines(canonical_json(decision.record()) + "\n" for decision in missing)
            file.flush()
            os.fsync(file.fileno())
    return len(missing)


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
