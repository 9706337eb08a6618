"""A cgroup for each capsule, if this process may create one: no process can leave it, and one write kills all of them.

Only cgroup v2 is supported, and only for killing. The runner itself limits memory, because a group that contains
processes, as the loop's own does, cannot delegate controllers to a group below it.
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
    """Return the folder of this process's cgroup v2; None if there is none, or it is not mounted here."""
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
    """Create an empty group below `own`; None without `own` or permission, or if the kernel cannot kill groups."""
    # Moving a process between two groups needs write access to their common ancestor.
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
    """Kill all processes of the group and remove it; a group with processes stuck in the kernel remains."""
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
