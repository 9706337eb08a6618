"""The memory of a tree of processes, and the kernel's count of out-of-memory kills."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
VMSTAT = Path("/proc/vmstat")


def held_bytes(pids: Iterable[int], limit_bytes: float) -> int:
    """Return the resident memory of all processes together; exact above the limit, an upper bound below it.

    The exact value is the sum of PSS, which counts a shared page once. The kernel walks all page tables for it, so it
    is read only if the sum of RSS, which is never less, exceeds the limit.
    """
    family = list(pids)
    resident = sum(map(_resident_bytes, family))
    return resident if resident <= limit_bytes else sum(map(_proportional_bytes, family))


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _proportional_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii", errors="replace").splitlines()
    except ProcessLookupError:
        return 0
    except OSError:  # an older kernel, or no permission
        return _resident_bytes(pid)
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:")), 0)


def oom_kills(own_cgroup: Path | None) -> int:
    """Return the kernel's count of out-of-memory kills in this process's cgroup, or else on the machine."""
    events = () if own_cgroup is None else (own_cgroup / "memory.events",)
    for path in (*events, VMSTAT):
        try:
            lines = path.read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
    return 0
