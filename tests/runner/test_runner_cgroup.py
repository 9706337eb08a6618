"""The cgroup of this process, from files in the kernels' format, and a real cgroup if there is one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from misbehaving import still_running

from autosurgeon.runner.cgroup import make_cgroup, own_cgroup, remove_cgroup

UNIFIED = "25 30 0:23 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = (
    "32 31 0:29 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:2 master:3 - cgroup2 cgroup2 rw\n"
)
V1 = "32 31 0:29 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"


@pytest.mark.parametrize(
    ("cgroup", "mounts", "own"),
    [
        ("0::/user.slice/run-7.scope\n", UNIFIED, "/sys/fs/cgroup/user.slice/run-7.scope"),
        ("4:memory:/jobs\n0::/\n", HYBRID, "/sys/fs/cgroup/unified"),
        ("4:memory:/jobs\n", V1, None),
        ("0::/\n", V1, None),
        ("0::/docker/7/work\n", UNIFIED.replace(" / /sys", " /docker/7 /sys"), "/sys/fs/cgroup/work"),
        ("0::/../elsewhere\n", UNIFIED.replace(" / /sys", " /docker/7 /sys"), None),
        ("", "", None),
    ],
)
def test_the_own_cgroup_is_found_at_its_mount(tmp_path: Path, cgroup: str, mounts: str, own: str | None) -> None:
    (tmp_path / "cgroup").write_text(cgroup)
    (tmp_path / "mountinfo").write_text(mounts)
    assert own_cgroup(tmp_path) == (None if own is None else Path(own))


def test_without_proc_there_is_no_cgroup(tmp_path: Path) -> None:
    assert own_cgroup(tmp_path / "nowhere") is None


def test_a_folder_that_is_not_a_cgroup_is_not_used_or_changed(tmp_path: Path) -> None:
    assert make_cgroup(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    assert make_cgroup(tmp_path / "nowhere") is None
    assert make_cgroup(None) is None


def test_removing_a_cgroup_kills_all_its_processes() -> None:
    group = make_cgroup(own_cgroup())
    if group is None:
        pytest.skip("no cgroup v2 that this process may divide")
    away = "import os, time; os.fork(); os.setsid() if os.getpid() != os.getsid(0) else 0; time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", f"input(); {away}"], stdin=-1, start_new_session=True)
    (group / "cgroup.procs").write_text(str(process.pid))
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.close()
    while len(inside := (group / "cgroup.procs").read_text().split()) < 2:
        pass
    remove_cgroup(group)
    assert still_running(map(int, inside), within_s=5) == []
    assert process.wait() == -9
    assert not group.exists()
    remove_cgroup(group)  # a second call does nothing
