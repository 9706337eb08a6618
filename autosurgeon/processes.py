"""Parents and children of processes, from /proc: for the runner, which measures memory, and the fork server."""

from __future__ import annotations

import os
from pathlib import Path


def _parents() -> dict[int, int]:
    """Return the parent of each process; a process that ends meanwhile is omitted."""
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
    """Return the children of a process, including zombies."""
    return [child for child, parent in _parents().items() if parent == pid]


def descendants(pid: int) -> list[int]:
    """Return all descendants of a process, parents before children."""
    below: dict[int, list[int]] = {}
    for child, parent in _parents().items():
        below.setdefault(parent, []).append(child)
    found = [pid]
    for known in found:
        found += below.pop(known, [])  # popped, so that ids that are reused during the scan cannot form a cycle
    return found[1:]
