"""`stop`, `pause` and `resume` against real runs in processes of their own, which wait before they compute anything."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from program import autosurgeon

from autosurgeon.core.workspace import Workspace
from autosurgeon.loop.engine import stop_requests

PROGRAM = [sys.executable, "-m", "autosurgeon"]


def start(workspace: Path, settings: str = "") -> subprocess.Popen[str]:
    (workspace / "autosurgeon.toml").write_text(settings + "[capsule]\nwarm = false\n")
    command = [*PROGRAM, "run", "--passes", "1", "--workspace", str(workspace)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def status_once(workspace: Path, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The status of a workspace as soon as it is as wanted."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        done = autosurgeon("status", "--json", "--workspace", workspace)
        if done.returncode == 0 and holds(found := json.loads(done.stdout)):
            return dict(found)
        time.sleep(0.1)
    pytest.fail("it never came")


def test_without_a_loop_stop_is_refused_and_a_pause_waits_for_the_next_one(tmp_path: Path) -> None:
    for verb in ("stop", "pause", "resume"):
        assert "there is no workspace here" in autosurgeon(verb, "--workspace", tmp_path).stderr
    (tmp_path / "data").mkdir()
    from autosurgeon.store.sqlstore import SqlStore

    SqlStore(tmp_path / "data" / "autosurgeon.db", create=True).close()
    stopped = autosurgeon("stop", "--workspace", tmp_path)
    assert (stopped.returncode, len(stopped.stderr.splitlines())) == (2, 1)
    assert "no loop runs on this workspace" in stopped.stderr
    assert "the next one waits" in autosurgeon("pause", "--workspace", tmp_path).stdout
    assert "the next run waits" in autosurgeon("status", "--workspace", tmp_path).stdout.replace("\n", " ")
    assert "the pause is over" in autosurgeon("resume", "--workspace", tmp_path).stdout
    assert "nothing is paused" in autosurgeon("resume", "--workspace", tmp_path).stdout

    autosurgeon("pause", "--workspace", tmp_path)
    with start(tmp_path) as loop:
        try:
            found = status_once(tmp_path, lambda found: bool(found["paused"]))
            assert found["loop"]["pid"] == loop.pid
            assert "stops after the running stage" in autosurgeon("stop", "--workspace", tmp_path).stdout
            out, _ = loop.communicate(timeout=60)
        finally:
            loop.kill()
    assert loop.returncode == 0
    assert "autosurgeon resume" in out
    assert "end: stopped" in out
    found = status_once(tmp_path, lambda found: True)
    assert (found["loop"], found["paused"], found["budget"]["end_reason"]) == (None, None, "stopped")
    acts = json.loads(autosurgeon("audit", "log", "--people", "--json", "--workspace", tmp_path).stdout)
    assert [(act["act"], act["who"]["uid"]) for act in acts] == [
        (act, os.getuid()) for act in ("pause", "resume", "pause", "stop")
    ]


def test_a_request_works_while_the_database_is_away_and_states_that_it_is_not_in_the_record(tmp_path: Path) -> None:
    from autosurgeon.loop.engine.stop_requests import asked
    from autosurgeon.store.sqlstore import SqlStore

    place = Workspace(tmp_path)
    SqlStore(place.database, create=True).close()
    with start(tmp_path, "[loop]\nmin_free_mib = 1000000000\n") as loop:
        try:
            status_once(tmp_path, lambda found: bool(found["paused"]))
            (tmp_path / "autosurgeon.toml").write_text("[store]\nurl = 'postgresql+psycopg://user@127.0.0.1:1/gone'\n")
            done = autosurgeon("pause", "--workspace", tmp_path)
            assert (done.returncode, "pauses after the running stage" in done.stdout) == (0, True)
            assert "the act is not in the record: " in done.stderr
            assert len(done.stderr.splitlines()) == 1
            word = asked(place)
            assert word is not None and word.word == "pause"
            assert "the act is not in the record: " in autosurgeon("resume", "--workspace", tmp_path).stderr
            done = autosurgeon("stop", "--workspace", tmp_path)
            assert (done.returncode, "stops after the running stage" in done.stdout) == (0, True)
            assert "the act is not in the record: " in done.stderr
            loop.communicate(timeout=60)
        finally:
            loop.kill()
    assert loop.returncode == 0


def test_a_stop_that_no_file_takes_is_sent_as_a_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from autosurgeon.store.sqlstore import SqlStore

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    SqlStore(Workspace(tmp_path).database, create=True).close()
    with start(tmp_path, "[loop]\nmin_free_mib = 1000000000\n") as loop:
        try:
            status_once(tmp_path, lambda found: bool(found["paused"]))
            monkeypatch.setattr(stop_requests, "write_whole", refuse)
            done = autosurgeon("pause", "--workspace", tmp_path)
            assert (done.returncode, "Read-only file system" in done.stderr) == (2, True)
            done = autosurgeon("stop", "--workspace", tmp_path)
            assert (done.returncode, "stops after the running stage" in done.stdout) == (0, True)
            loop.communicate(timeout=60)
        finally:
            loop.kill()
    assert loop.returncode == 0
    acts = json.loads(autosurgeon("audit", "log", "--people", "--json", "--workspace", tmp_path).stdout)
    # By the command, and by the loop, to which a signal has no sender.
    assert {(act["act"], act["who"]["uid"], act["about"]) for act in acts} == {
        ("stop", os.getuid(), ""),
        ("stop", None, "terminated (SIGTERM)"),
    }


def test_a_nearly_full_disk_pauses_the_run_says_so_and_is_interrupted_by_a_signal(tmp_path: Path) -> None:
    with start(tmp_path, "[loop]\nmin_free_mib = 1000000000\n") as loop:
        try:
            status_once(tmp_path, lambda found: bool(found["paused"]) and found["paused"]["reason"] == "disk")
            assert "paused: disk" in autosurgeon("status", "--workspace", tmp_path).stdout
            assert "waits for disk space" in autosurgeon("resume", "--workspace", tmp_path).stdout
            loop.send_signal(signal.SIGINT)
            out, _ = loop.communicate(timeout=60)
        finally:
            loop.kill()
    assert loop.returncode == 0
    assert "the disk is nearly full" in out
    assert "end: stopped" in out


def test_a_write_to_a_full_device_is_waited_for_and_a_run_that_was_killed_is_told_as_cut_off(tmp_path: Path) -> None:
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("this machine has no /dev/full")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "decisions.jsonl").symlink_to("/dev/full")
    with start(tmp_path) as loop:
        try:
            status_once(tmp_path, lambda found: bool(found["paused"]) and found["paused"]["reason"] == "disk")
        finally:
            loop.kill()
    assert "interrupted" in autosurgeon("status", "--workspace", tmp_path).stdout
    found = status_once(tmp_path, lambda found: True)
    assert (found["loop"], found["paused"]) == (None, None)
