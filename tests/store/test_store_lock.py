from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from autosurgeon.errors import WorkspaceError
from autosurgeon.store.lock import workspace_lock

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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "lock"


def test_a_second_process_is_refused_and_told_who_holds_the_workspace(path: Path) -> None:
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
        assert path.read_text() == f"{os.getpid()}\n"


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


def test_a_lock_of_a_shorter_number_leaves_no_digits_of_the_last(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("9" * 20 + "\n")
    with workspace_lock(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_two_workspaces_are_held_at_once(tmp_path: Path) -> None:
    with workspace_lock(tmp_path / "a" / "lock"), workspace_lock(tmp_path / "b" / "lock"):
        assert (tmp_path / "b" / "lock").is_file()
