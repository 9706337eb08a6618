from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from autosurgeon.errors import WorkspaceError
from autosurgeon.store.lock import holder_of, myself, workspace_lock

HOLDER = """
import sys, time
from pathlib import Path
from autosurgeon.store.lock import workspace_lock
with workspace_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def named(path: Path) -> int:
    """The process that the file names."""
    return int(json.loads(path.read_text())["pid"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "lock"


def test_a_second_process_is_refused_with_the_holder_of_the_workspace(path: Path) -> None:
    with holder(path) as process:
        try:
            with pytest.raises(WorkspaceError, match=f"another loop.*process {process.pid}"), workspace_lock(path):
                pytest.fail("held twice")
        finally:
            process.kill()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_is_free_after_its_holder_died(path: Path, how: signal.Signals) -> None:
    with holder(path) as process:
        process.send_signal(how)
        process.wait()
    with workspace_lock(path):
        assert named(path) == os.getpid()


def test_a_refusal_does_not_free_the_lock(path: Path) -> None:
    with holder(path) as process:
        try:
            for _ in range(2):
                with pytest.raises(WorkspaceError), workspace_lock(path):
                    pytest.fail("held twice")
        finally:
            process.kill()


def test_the_lock_is_free_after_the_block_even_when_it_raised(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), workspace_lock(path):
        raise ZeroDivisionError
    with workspace_lock(path):
        pass


def stale(path: Path, **other: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(myself().model_dump() | other))


@pytest.mark.parametrize(
    "other",
    [{"boot": "another boot"}, {"pid": 2**22 + 1}, {"started": 1}, {"namespace": 1}],
    ids=["boot", "gone", "reused", "elsewhere"],
)
def test_a_lock_that_a_dead_loop_left_behind_is_taken_over(path: Path, other: dict[str, object]) -> None:
    stale(path, **other)
    assert holder_of(path) is None
    with workspace_lock(path):
        assert named(path) == os.getpid()


@pytest.mark.parametrize("content", [b"", b"4711\n", b'{"pid": 1', b"\xff\x00" * 5000, b"9" * 20, b"[]"])
def test_a_lock_file_of_garbage_is_taken_over_and_nothing_of_it_is_left(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    assert holder_of(path) is None
    with workspace_lock(path):
        assert named(path) == os.getpid()


def test_garbage_in_the_file_of_a_living_loop_does_not_let_a_second_one_in(path: Path) -> None:
    with holder(path) as process:
        try:
            path.write_bytes(b"\x00garbage")
            with pytest.raises(WorkspaceError, match="left no name"), workspace_lock(path):
                pytest.fail("held twice")
        finally:
            process.kill()


def test_a_living_holder_is_respected_where_the_file_system_grants_the_lock_to_everybody(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        started = int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19])
        stale(path, pid=process.pid, started=started, since="2030-01-01")
        with pytest.raises(WorkspaceError, match=f"process {process.pid} since 2030-01-01"), workspace_lock(path):
            pytest.fail("held twice")
        assert holder_of(path) is not None
        process.kill()
    assert holder_of(path) is None


def test_a_process_that_lives_on_after_its_run_is_not_taken_for_a_loop(path: Path) -> None:
    with workspace_lock(path):
        assert holder_of(path) is not None
    assert holder_of(path) is None


def test_of_many_that_come_at_once_one_gets_the_workspace(path: Path) -> None:
    stale(path, boot="another boot")
    script = HOLDER.replace("time.sleep(600)", "sys.stdin.read()")
    start = [sys.executable, "-c", script, str(path)]
    crowd = [
        subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range(4)
    ]
    lines = [process.stdout.readline() for process in crowd if process.stdout]
    for process in crowd:
        process.communicate()
    assert sorted(lines) == ["", "", "", "held\n"]


def test_two_workspaces_are_held_at_once(tmp_path: Path) -> None:
    with workspace_lock(tmp_path / "a" / "lock"), workspace_lock(tmp_path / "b" / "lock"):
        assert (tmp_path / "b" / "lock").is_file()
