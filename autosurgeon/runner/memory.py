"""What a tree of processes holds of the memory, and whether the kernel killed for lack of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
VMSTAT = Path("/proc/vmstat")


def held_bytes(pids: Iterable[int], limit_bytes: float) -> int:
    """Resident memory of all the processes together; exact where it is beyond the limit, else at most too high.

    Exact is the sum of PSS, which counts a page that several share once. That walks all their page tables, so it is
    asked only where the sum of RSS, which is never less, is beyond the limit.
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
    except OSError:  # an older kernel, or no right to look
        return _resident_bytes(pid)
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:")), 0)


def oom_kills(own_cgroup: Path | None) -> int:
    """How many processes the kernel has killed for lack of memory: in this process's cgroup, else on the machine."""
    events = () if own_cgroup is None else (own_cgroup / "memory.events",)
    for path in (*events, VMSTAT):
        try:
            lines = path.read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
    return 0
