"""Faults of the system itself: the n-th call fails or kills, by strace; a small disk is really full, by tmpfs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from invariants import check
from kills import PASSES, Nights

STEPS = {"rename": 1, "fsync": 4, "fdatasync": 16, "write": 40, "pwrite64": 80}
"""System calls, and every which of them is disturbed; a pass makes a few renames and some thousand writes."""
FAULTS = {"error=EIO": {0, 3, 4}, "error=ENOSPC": {0, 2, 3, 4}, "signal=KILL": {-signal.SIGKILL}}
"""What is done to a call, and how the start may end; a line that is only shown or logged is no reason to end."""


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    served = Nights(tmp_path_factory.mktemp("nights"))
    yield served
    served.close()


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("call", STEPS)
def test_whichever_call_fails_the_next_start_ends_as_if_it_had_not(nights: Nights, call: str, fault: str) -> None:
    if shutil.which("strace") is None:
        pytest.skip("no strace here")
    if call == "fsync" and fault == "error=ENOSPC":
        pytest.skip("a flush that fails is never taken for want of space")
    number = 1
    while True:
        root = nights.workspace(3)
        ended = nights.run(root, PASSES, inject=f"{call}:{fault}:when={number}")
        if not ended.injected and ended.status == 0:
            assert number > 1, "strace disturbed nothing"
            return
        assert ended.status in FAULTS[fault], f"{call} {number}: {ended.output}"
        assert "Traceback" not in ended.output, f"{call} {number}: {ended.output}"
        nights.recovered(root, PASSES, nights.looked_at(root), 3)
        number += STEPS[call]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a small disk, and not everywhere")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("left", [40 << 10, 400 << 10])
def test_a_disk_that_is_really_full_makes_the_loop_wait_and_go_on_where_it_was(
    nights: Nights, small_disk: Path, left: int
) -> None:
    source, root = nights.workspace(3, "full"), small_disk / "night"
    shutil.copytree(source, root)
    config = root / "autosurgeon.toml"
    config.write_text(config.read_text().replace(str(source), str(root)))
    filler, ballast = small_disk / "filler", 1 << 20
    with filler.open("wb") as file:
        file.write(bytes(shutil.disk_usage(small_disk).free - ballast - left))
    ended = []
    # Run as a story: only the disk reports that it is full.
    loop = threading.Thread(target=lambda: ended.append(nights.run(root, PASSES)))
    loop.start()
    deadline = time.monotonic() + 60
    while not (root / "data" / "pause.json").exists():
        assert loop.is_alive(), ended[0].output
        assert time.monotonic() < deadline, "it never paused"
        time.sleep(0.01)
    filler.unlink()
    loop.join()
    assert ended[0].status == 0, ended[0].output
    assert "paused: the disk is nearly full" in ended[0].output
    moved = nights.folder / "moved"
    shutil.rmtree(moved, ignore_errors=True)
    shutil.copytree(root, moved)
    shutil.rmtree(root)
    check(moved, nights.reference(PASSES, 3, "full"), [])
