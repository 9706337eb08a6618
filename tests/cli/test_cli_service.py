"""`service print`, and a real `run` as systemd would have it: ready, alive, silent when it hangs, ended by a word."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from notified import Manager
from theatre import learns_everything, small_theatre
from typer.testing import CliRunner

from autosurgeon.cli.main import app
from autosurgeon.cli.run import _loop as end_of_loop
from autosurgeon.cli.unit import quoted
from autosurgeon.core.jobs import TrainJob
from autosurgeon.core.value import Value
from autosurgeon.errors import CapsuleError, ExitCode, UserError

STRANGE = "a night's work 100% $HOME"


def printed(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["service", "print", "--user", "surgeon", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def value(unit: str, key: str) -> str:
    (found,) = [line.partition("=")[2] for line in unit.splitlines() if line.startswith(f"{key}=")]
    return found


def words(line: str) -> list[str]:
    """A line's words as systemd reads them: quotes off, doubled percent signs made one, dollar signs left."""
    return [word.replace("%%", "%") for word in shlex.split(line)]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / STRANGE
    folder.mkdir()
    return folder


def test_the_command_is_this_interpreters_run_on_absolute_paths_whatever_is_in_their_names(workspace: Path) -> None:
    policy = workspace / "my policy.yaml"
    policy.write_text("schema: autosurgeon.policy/1\nname: mine\ninclude: [bd62.yaml]\nrules: []\n")
    shutil.copy(Path(__file__).parents[2] / "policies" / "bd62.yaml", workspace)
    unit = printed("--workspace", workspace, "--policy", policy)
    program, *rest = words(value(unit, "ExecStart"))
    assert program == f":{sys.executable}", "the colon keeps systemd from filling variables in"
    expected = ["-P", "-m", "autosurgeon", "run", "--workspace", str(workspace), "--policy", str(policy)]
    assert rest == expected
    assert value(unit, "WorkingDirectory").replace("%%", "%") == str(workspace)
    assert words(value(unit, "ReadWritePaths"))[0] == str(workspace)


@given(st.text(st.characters(blacklist_categories=["C", "Z"], blacklist_characters="\\"), min_size=1))
def test_any_word_reads_back_as_it_was(word: str) -> None:
    assert words(quoted(word)) == [word]


@pytest.mark.parametrize("word", ["two\nlines", "back\\slash", "\x1b[0m"])
def test_a_word_that_systemd_would_read_otherwise_is_refused(word: str) -> None:
    with pytest.raises(UserError, match="a unit cannot contain"):
        quoted(word)


def test_limits_come_from_the_settings_or_from_flags(workspace: Path) -> None:
    (workspace / "autosurgeon.toml").write_text(
        "[capsule]\nmemory_gib = 40\nwall_s = 7200\n[grading]\nworkers = 2\n[audit]\ncheckpoint_copy = '/mnt/else'\n"
    )
    unit = printed("-w", workspace)
    assert value(unit, "MemoryMax") == f"{44 * 1024}M"
    assert value(unit, "TasksMax") == str(1024 + 2 * 256)
    assert value(unit, "TimeoutStopSec") == "7800"
    assert words(value(unit, "ReadWritePaths"))[1] == "-/mnt/else"
    other = printed("-w", workspace, "--memory", 10, "--watchdog", 900)
    assert (value(other, "MemoryMax"), value(other, "WatchdogSec")) == ("10240M", "900")


def test_a_restart_is_tried_only_where_it_can_help(workspace: Path) -> None:
    unit = printed("-w", workspace)
    assert value(unit, "Restart") == "on-failure"
    assert value(unit, "RestartPreventExitStatus") == "2 4 5"
    slowest_s = int(value(unit, "WatchdogSec")) + int(value(unit, "RestartSec"))
    starts, interval_s = int(value(unit, "StartLimitBurst")), int(value(unit, "StartLimitIntervalSec"))
    assert starts * slowest_s < interval_s, "a loop that hangs at every start ends all the same"


def test_a_run_that_a_brake_ended_has_the_exit_code_that_no_service_restarts(tmp_path: Path) -> None:
    def no_training(job: Value) -> None:
        if isinstance(job, TrainJob):
            raise CapsuleError("memory", "17.0 GiB resident")

    with small_theatre(tmp_path, learns_everything, before=no_training, passes=10) as ins:
        with pytest.raises(typer.Exit) as ended:
            end_of_loop(ins)
        assert ended.value.exit_code == ExitCode.BRAKED


def test_a_workspace_that_is_seen_through_tmp_gets_no_other_tmp(workspace: Path) -> None:
    unit = printed("-w", workspace)
    if not workspace.is_relative_to("/tmp"):
        pytest.skip("this machine keeps temporary folders elsewhere")
    assert value(unit, "PrivateTmp") == "no"
    assert "/tmp" in words(value(unit, "ReadWritePaths"))


def test_the_stanza_names_the_log_that_grows_and_its_owner(workspace: Path) -> None:
    done = CliRunner().invoke(app, ["service", "print", "-w", str(workspace), "--user", "root", "--logrotate"])
    assert f'"{workspace / "logs" / "operations.jsonl"}" {{' in done.stdout
    assert "    su root " in done.stdout
    assert "copytruncate" not in done.stdout
    other = CliRunner().invoke(app, ["service", "print", "-w", str(workspace), "--user", "no-such-user", "--logrotate"])
    assert "there is no such user" in str(other.exception)


def test_variables_that_the_service_will_not_have_are_named_without_their_values(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSURGEON_STORE__URL", "postgresql+psycopg://me:secret@host/night")
    unit = printed("-w", workspace)
    assert re.search("^#   .*AUTOSURGEON_STORE__URL", unit, re.MULTILINE)
    assert "secret" not in unit


def test_what_could_not_work_is_refused_when_it_is_printed(workspace: Path, tmp_path: Path) -> None:
    for arguments, told in (
        (("-w", tmp_path / "none"), "the workspace is not a folder"),
        (("-w", workspace, "--policy", tmp_path / "none.yaml"), "policy"),
        (("-w", workspace, "--user", "me; rm"), "this is not a user name"),
    ):
        done = CliRunner().invoke(app, ["service", "print", *map(str, arguments)])
        assert isinstance(done.exception, UserError), done.output
        assert told in str(done.exception)


def test_systemd_finds_nothing_wrong_with_the_unit(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("this machine has no systemd-analyze")
    program = workspace.parent / "an interpreter 100% $HOME"
    program.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(program))
    file = workspace / "autosurgeon.service"

    def verify(text: str) -> subprocess.CompletedProcess[str]:
        file.write_text(text)
        command = ["systemd-analyze", "verify", "--man=no", str(file)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    unit = printed("-w", workspace)
    done = verify(unit)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    misread = verify(unit.replace("interpreter 100%%", "interpreter"))
    assert "is not executable" in misread.stderr, "it does look for the program"


@pytest.fixture
def hung(tmp_path: Path) -> Iterator[tuple[Manager, subprocess.Popen[str]]]:
    """A real run that waits for space on the disk, under a manager that bears a second of silence."""
    (tmp_path / "autosurgeon.toml").write_text("[loop]\nmin_free_mib = 1000000000\n[capsule]\nwarm = false\n")
    command = [sys.executable, "-m", "autosurgeon", "run", "--passes", "1", "--workspace", str(tmp_path)]
    with Manager.at(tmp_path) as manager:
        environment = os.environ | manager.environment(1) | {"PYTHONFAULTHANDLER": "1"}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as loop:
            try:
                yield manager, loop
            finally:
                loop.kill()


def test_a_real_run_is_ready_beats_while_it_waits_and_falls_silent_when_it_is_stopped_in_its_tracks(
    hung: tuple[Manager, subprocess.Popen[str]],
) -> None:
    manager, loop = hung
    manager.until(lambda message: message.startswith("STATUS=paused: the disk is nearly full"))
    assert "READY=1" in manager.words
    began = time.monotonic()
    for _ in range(3):
        manager.until(lambda message: message == "WATCHDOG=1", within_s=20)
    assert time.monotonic() - began > 1

    loop.send_signal(signal.SIGSTOP)
    manager.listen(0.3)  # what was on its way
    assert manager.listen(3) == []
    loop.send_signal(signal.SIGCONT)
    manager.until(lambda message: message == "WATCHDOG=1", within_s=20)

    loop.send_signal(signal.SIGTERM)
    manager.until(lambda message: message == "STOPPING=1", within_s=20)
    ends = [word for word in manager.words if word.startswith("STATUS=end: stopped; `autosurgeon run` with the same")]
    assert ends and "SIGTERM" in ends[-1]
    loop.communicate(timeout=30)
    assert loop.returncode == 0


def test_the_watchdogs_signal_leaves_where_the_loop_hung(hung: tuple[Manager, subprocess.Popen[str]]) -> None:
    manager, loop = hung
    manager.until(lambda message: message.startswith("STATUS=paused"))
    loop.send_signal(signal.SIGABRT)
    _, told = loop.communicate(timeout=30)
    assert loop.returncode == -signal.SIGABRT
    assert "pause.py" in told
