"""Real capsules on the lab: the loop is killed in every stage, and no capsule outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from invariants import check, check_faulted, processes_of, state_of

from autosurgeon.core.hash_chain import Head
from autosurgeon.failpoints import VARIABLE

STAGES = ("train", "smoke", "merge", "fidelity", "bench", "confirm", "distance", "watch")
"""The stages that run a capsule, in their order; a pass may end before the last ones."""
TIMEOUT_S = 900


def start(workspace: Path, fail: str = "") -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "autosurgeon", "run", "--passes", "1", "--seed", "7", "-w", str(workspace)]
    output = (workspace.parent / f"{workspace.name}.out").open("ab")
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    environment["AUTOSURGEON_CAPSULE__TRAIN_STATE_S"] = "0"  # so that a killed training has a state to go on from
    with output:
        return subprocess.Popen(
            command, stdout=output, stderr=output, env=environment | ({VARIABLE: fail} if fail else {})
        )


def no_process_is_left(workspace: Path) -> None:
    deadline = time.monotonic() + 20
    while left := processes_of(workspace):
        assert time.monotonic() < deadline, f"I6: {left}"
        time.sleep(0.1)


def killed_in(workspace: Path, stage: str) -> bool:
    """Kill the loop as soon as a stage of its first pass has a folder; False where it ends without that stage."""
    loop, folder = start(workspace), workspace / "data" / "passes" / "pass-0001" / stage
    deadline = time.monotonic() + TIMEOUT_S
    while loop.poll() is None and not folder.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.2)
    loop.kill()
    return loop.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_a_lab_pass_that_is_killed_in_every_stage_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole, root = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    root.mkdir()
    assert start(whole).wait(TIMEOUT_S) == 0
    heads: list[Head] = []

    def look() -> None:
        no_process_is_left(root)
        head = check_faulted(root)
        heads.extend([head] if head else [])

    for fail in ("capsule-started:kill", "capsule-ended:kill"):
        assert start(root, fail).wait(TIMEOUT_S) == -signal.SIGKILL
        look()
    reached = {stage.name for stage in (whole / "data" / "passes" / "pass-0001").iterdir()}
    wanted = [stage for stage in STAGES if stage in reached]
    assert {"train", "smoke", "merge", "bench"} <= set(wanted)
    for stage in wanted:
        assert killed_in(root, stage), stage
        look()
        if stage in ("train", "bench"):
            for fail in ("capsule-started:kill", "capsule-ended:kill"):
                assert start(root, fail).wait(TIMEOUT_S) == -signal.SIGKILL
                look()
    assert start(root).wait(TIMEOUT_S) == 0
    no_process_is_left(root)
    check(root, state_of(whole), heads)
