"""A cgroup for each capsule, where this process may make one: whoever is in it cannot leave, and dies by one write.

Version 2 only, and only for killing: memory is limited by the runner, since a group that holds processes, as the loop's
does, cannot hand controllers on to a group below it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path

PROC = Path("/proc/self")
REMOVE_S = 5.0


def own_cgroup(proc: Path = PROC) -> Path | None:
    """The folder of this process's cgroup v2; None where there is none, or it is not mounted here."""
    try:
        groups = (proc / "cgroup").read_text(encoding="utf-8").splitlines()
        mounts = (proc / "mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    mine = next((line.removeprefix("0::") for line in groups if line.startswith("0::")), None)
    for line in mounts:
        placed, _, kind = line.partition(" - ")
        if mine is not None and kind.split()[:1] == ["cgroup2"]:
            root, mount = placed.split()[3:5]
            if Path(mine).is_relative_to(root):
                return Path(mount) / Path(mine).relative_to(root)
    return None


def make_cgroup(own: Path | None) -> Path | None:
    """A new empty group below `own`; None where there is none, it may not be made, or the kernel cannot kill one."""
    # Whoever moves a process between two groups has to be allowed to write to what is above both.
    if own is None or not os.access(own / "cgroup.procs", os.W_OK):
        return None
    try:
        group = Path(tempfile.mkdtemp(prefix=f"autosurgeon-{os.getpid()}-", dir=own))
    except OSError:
        return None
    with contextlib.suppress(OSError):
        if (group / "cgroup.kill").exists() and (group / "cgroup.type").read_text(encoding="ascii") == "domain\n":
            return group
    remove_cgroup(group)
    return None


def remove_cgroup(group: Path) -> None:
    """Kill what is in it and remove it; one that does not empty, for what waits in the kernel, is left."""
    deadline = time.monotonic() + REMOVE_S
    with contextlib.suppress(FileNotFoundError):
        with contextlib.suppress(OSError), open(os.open(group / "cgroup.kill", os.O_WRONLY), "wb") as kill:
            kill.write(b"1")
        while time.monotonic() < deadline:
            try:
                return group.rmdir()
            except FileNotFoundError:
                return None
            except OSError:
                time.sleep(0.01)
