"""A lost signing key stops each command that signs, at its start; `audit rotate-key` makes a new one in the open."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from finished import copy_of, finish
from program import autosurgeon

from autosurgeon.audit.signing import PRIVATE, PUBLIC, public_key
from autosurgeon.cli.doctor import _signing_key as signing_key
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import UserError
from autosurgeon.failpoints import FAILPOINTS
from autosurgeon.store.sqlstore import SqlStore
from autosurgeon.wiring import settings_of

FAR = "2999-01-01"
HOLD = """
import pathlib, sys
from autosurgeon.store.lock import workspace_lock
with workspace_lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
SIGNING = {
    "run": ["run", "--passes", "1"],
    "override": ["override", "1", "--verdict", "accept", "--reason", "r", "--expires", FAR],
    "revert": ["pack", "revert", "--reason", "r"],
    "export": ["audit", "export", "--out", "OUT"],
    "rotate": ["audit", "rotate-key", "--reason", "r"],
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return finish(tmp_path_factory.mktemp("finished") / "w")


@pytest.fixture
def workspace(finished: Workspace, tmp_path: Path) -> Workspace:
    return copy_of(finished, tmp_path / "w")


def events(workspace: Workspace) -> int:
    store = SqlStore(workspace.database)
    try:
        return store.head().size
    finally:
        store.close()


@pytest.mark.parametrize("command", SIGNING)
def test_without_its_private_key_each_command_that_signs_is_refused_before_it_does_anything(
    workspace: Workspace, tmp_path: Path, command: str
) -> None:
    public, size = (workspace.keys / PUBLIC).read_bytes(), events(workspace)
    (workspace.keys / PRIVATE).unlink()
    words = [str(tmp_path / "out") if word == "OUT" else word for word in SIGNING[command]]
    done = autosurgeon(*words, "-w", workspace.root)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "the signing key is missing" in done.stderr
    assert str(workspace.keys / PRIVATE) in done.stderr
    assert "autosurgeon audit rotate-key --lost" in done.stderr
    assert (workspace.keys / PUBLIC).read_bytes() == public
    assert not (workspace.keys / PRIVATE).exists()
    assert events(workspace) == size
    assert not (tmp_path / "out").exists()
    assert autosurgeon("audit", "verify", "-w", workspace.root).returncode == 0


@pytest.mark.parametrize("words", [["pack", "gc"], ["pack", "list"], ["status"], ["audit", "log"], ["report", "1"]])
def test_what_signs_nothing_works_without_the_key(workspace: Workspace, words: list[str]) -> None:
    (workspace.keys / PRIVATE).unlink()
    done = autosurgeon(*words, "-w", workspace.root)
    assert done.returncode == 0, done.stderr
    assert not (workspace.keys / PRIVATE).exists()


def test_a_rotation_and_a_lost_key_are_shown_by_the_commands(workspace: Workspace) -> None:
    def verified() -> str:
        done = autosurgeon("audit", "verify", "-w", workspace.root)
        assert done.returncode == 0, done.stdout
        return done.stdout

    first = public_key(workspace.keys / PUBLIC).keyid
    done = autosurgeon("audit", "rotate-key", "-w", workspace.root)
    assert done.returncode == 0, done.stderr
    assert f"replaces key {first[:16]}" in done.stdout
    assert "not sign" not in verified()

    (workspace.keys / PRIVATE).unlink()
    done = autosurgeon("audit", "rotate-key", "--lost", "-w", workspace.root)
    assert (done.returncode, "needs a reason" in done.stderr) == (2, True)
    done = autosurgeon("audit", "rotate-key", "--lost", "--reason", "the disk died", "-w", workspace.root)
    assert done.returncode == 0, done.stderr
    size = events(workspace)
    assert f"from entry {size} on" in done.stdout
    assert "which the previous key did not sign" in verified()
    found = json.loads(autosurgeon("audit", "verify", "--json", "-w", workspace.root).stdout)
    assert [one["seq"] for one in found["unvouched"]] == [size]

    done = autosurgeon("audit", "rotate-key", "--lost", "--reason", "again", "-w", workspace.root)
    assert (done.returncode, "is not lost" in done.stderr) == (2, True)


def test_a_rotation_is_refused_while_a_loop_works_on_the_workspace(workspace: Workspace) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(workspace.lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        done = autosurgeon("audit", "rotate-key", "-w", workspace.root)
        assert done.returncode == 2
        assert "another loop works on this workspace" in done.stderr
    finally:
        holder.communicate()


@pytest.mark.parametrize("lost", [False, True])
def test_a_rotation_that_is_killed_at_any_step_leaves_a_workspace_that_verifies_and_signs(
    finished: Workspace, tmp_path: Path, lost: bool
) -> None:
    for name in [name for name in FAILPOINTS if name.startswith("key-")]:
        workspace = copy_of(finished, tmp_path / name)
        command = [
            sys.executable,
            "-m",
            "autosurgeon",
            "audit",
            "rotate-key",
            "--reason",
            "r",
            "-w",
            str(workspace.root),
        ]
        if lost:
            (workspace.keys / PRIVATE).unlink()
            command.append("--lost")
        killed = subprocess.run(command, env=os.environ | {"AUTOSURGEON_FAIL": f"{name}:kill"}, capture_output=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert autosurgeon("audit", "verify", "-w", workspace.root).returncode == 0, name
        if lost and name == "key-staged":  # nothing is recorded yet, so the key is as lost as before
            shutil.copyfile(finished.keys / PRIVATE, workspace.keys / PRIVATE)
            (workspace.keys / PRIVATE).chmod(0o600)
        done = autosurgeon("audit", "export", "--out", tmp_path / f"{name}-out", "-w", workspace.root)
        assert done.returncode == 0, done.stderr
        done = autosurgeon("audit", "rotate-key", "--reason", "r", "-w", workspace.root)
        assert done.returncode == 0, done.stderr
        assert autosurgeon("audit", "verify", "-w", workspace.root).returncode == 0, name
        assert {path.name for path in workspace.keys.iterdir()} & {"next.pem"} == set()


def test_doctor_looks_at_the_signing_key(workspace: Workspace, tmp_path: Path) -> None:
    settings = settings_of(workspace.root)
    assert "signs the checkpoints" in signing_key(workspace.root, settings)
    assert signing_key(tmp_path / "new", settings_of(tmp_path)) == "none yet; the first checkpoint creates it"
    (workspace.keys / "private.pem").unlink()
    with pytest.raises(UserError, match="audit rotate-key"):
        signing_key(workspace.root, settings)
