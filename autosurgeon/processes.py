"""Who is whose child, as /proc tells it: for the runner, which counts a tree's memory, and the capsules' keeper."""

from __future__ import annotations

import os
from pathlib import Path


def _parents() -> dict[int, int]:
    """Each process to its parent; one that ends meanwhile is left out."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = Path(f"/proc/{name}/stat").read_bytes()
            except OSError:
                continue
            found[int(name)] = int(stat.rpartition(b")")[2].split()[1])
    return found


def children(pid: int) -> list[int]:
    """The processes whose parent it is, dead ones that nobody has reaped among them."""
    return [child for child, parent in _parents().items() if parent == pid]


def descendants(pid: int) -> list[int]:
    """Everything below it, parents before children."""
    below: dict[int, list[int]] = {}
    for child, parent in _parents().items():
        below.setdefault(parent, []).append(child)
    found = [pid]
    for known in found:
        found += below.pop(known, [])  # popped: ids that are given anew during the scan cannot make a circle
    return found[1:]
