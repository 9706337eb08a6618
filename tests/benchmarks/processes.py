"""What the processes below this one have used, as the kernel reports it; Linux only."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def descendants() -> list[int]:
    """Every process below this one."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (fields := _fields(int(entry.name))):
            children[int(fields[1])].append(int(entry.name))
    found: list[int] = []
    todo = [os.getpid()]
    while todo:
        below = children[todo.pop()]
        found += below
        todo += below
    return found


def cpu_seconds_below() -> float:
    """CPU time of every process below this one, and of those that they have waited for."""
    used = [fields[11:15] for pid in descendants() if (fields := _fields(pid))]
    return sum(int(ticks) for process in used for ticks in process) / TICKS


def peak_bytes(pid: int | None = None) -> int:
    """The most memory that a process, or this one, ever had resident; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid or 'self'}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:")), 0)


def _fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, the state first; none when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
