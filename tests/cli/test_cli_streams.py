"""A run whose terminal or reader goes away ends after its stage with the cause, and a listing ends quietly.

Real processes, real signals, a real terminal; the night is a small one, see night.py.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from program import autosurgeon
from rich.console import Console

from autosurgeon.cli.run import _interruptible
from autosurgeon.cli.view import PlainReporter
from autosurgeon.loop.engine.limits import Limits

NIGHT = Path(__file__).parents[1] / "support" / "night.py"
PROGRAM = [sys.executable, "-m", "autosurgeon"]
ENDLESS = 1000
"""More passes than a test waits for."""


def night(workspace: Path, passes: int = ENDLESS) -> list[str]:
    return [sys.executable, str(NIGHT), str(workspace), "--passes", str(passes)]


def end_of(workspace: Path) -> dict[str, Any]:
    """The last run's budget and end, as `status` has it."""
    done = autosurgeon("status", "--json", "--workspace", workspace)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout)["budget"])


def stopped_by(workspace: Path, cause: str) -> None:
    """The run was stopped, its cause is known, and nothing is lost."""
    found = end_of(workspace)
    assert (found["end_reason"], found["end_detail"]) == ("stopped", cause)
    assert f"ended: stopped: {cause}" in autosurgeon("status", "--workspace", workspace).stdout
    assert autosurgeon("audit", "verify", "--workspace", workspace).returncode == 0


@contextlib.contextmanager
def at_work(command: list[str], **how: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has written its first line to the pipe of its standard output."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline()
            yield process
        finally:
            process.kill()


def test_a_run_whose_reader_goes_away_ends_after_its_stage_and_the_next_one_goes_on(tmp_path: Path) -> None:
    with at_work(night(tmp_path)) as run:
        assert run.stdout is not None and run.stderr is not None
        run.stdout.close()
        assert run.stderr.read() == b""
        assert run.wait(60) == 0
    stopped_by(tmp_path, "the reader of standard output is gone")
    passes = json.loads(autosurgeon("status", "--json", "--workspace", tmp_path).stdout)["passes"]
    again = subprocess.run(night(tmp_path, passes["total"]), capture_output=True, text=True, check=False, timeout=60)
    assert again.returncode == 0, again.stdout + again.stderr
    assert json.loads(autosurgeon("status", "--json", "--workspace", tmp_path).stdout)["passes"]["open"] == []


def test_a_run_whose_terminal_is_closed_ends_after_its_stage_and_names_the_cause(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    run = subprocess.Popen(
        night(tmp_path),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        preexec_fn=take_terminal,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    try:
        assert b"Traceback" not in os.read(ours, 1)
        os.close(ours)
        assert run.wait(60) == 0
    finally:
        run.kill()
    stopped_by(tmp_path, "the terminal was closed (SIGHUP)")


def test_hang_ups_never_end_a_run_at_once_however_many_come(tmp_path: Path) -> None:
    with at_work(night(tmp_path)) as run:
        for _ in range(3):
            run.send_signal(signal.SIGHUP)
        out, err = run.communicate(timeout=60)
        assert (run.returncode, err) == (0, b""), err
        assert b"end: stopped" in out
    stopped_by(tmp_path, "the terminal was closed (SIGHUP)")


def test_a_run_under_nohup_outlives_its_terminal_and_the_reader_of_standard_error(tmp_path: Path) -> None:
    with at_work(["nohup", *night(tmp_path, 1)], stdin=subprocess.DEVNULL) as run:
        assert run.stderr is not None
        run.stderr.close()
        run.stderr = None
        run.send_signal(signal.SIGHUP)
        run.communicate(timeout=60)
        assert run.returncode == 0
    assert (end_of(tmp_path)["end_reason"], end_of(tmp_path)["end_detail"]) == ("passes", None)


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="this machine has no /dev/full")
def test_a_run_whose_standard_output_is_full_ends_and_names_the_cause(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        run = subprocess.run(night(tmp_path), stdout=full, stderr=subprocess.PIPE, check=False, timeout=60)
    assert (run.returncode, run.stderr) == (0, b"")
    stopped_by(tmp_path, "standard output is full")


def test_a_run_that_is_started_with_its_streams_closed_writes_into_no_file_of_the_workspace(tmp_path: Path) -> None:
    closed = ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *night(tmp_path, 1)]
    assert subprocess.run(closed, check=False, timeout=60).returncode == 0
    assert end_of(tmp_path)["end_reason"] == "passes"
    assert autosurgeon("audit", "verify", "--workspace", tmp_path).returncode == 0
    for line in (tmp_path / "logs" / "operations.jsonl").read_text().splitlines():
        json.loads(line)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of a few passes."""
    workspace = tmp_path_factory.mktemp("finished") / "workspace"
    subprocess.run(night(workspace, 2), check=True, capture_output=True, timeout=120)
    return workspace


@pytest.mark.parametrize("command", ["audit log --json", "policy schema", "report campaign"])
def test_a_listing_whose_reader_goes_away_ends_as_the_shell_has_it_and_without_a_word(
    finished: Path, command: str
) -> None:
    read, write = os.pipe()
    os.close(read)
    words = command.split()
    where = [] if words[0] == "policy" else ["--workspace", str(finished)]
    done = subprocess.run([*PROGRAM, *words, *where], stdout=write, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="this machine has no /dev/full")
def test_a_listing_onto_a_full_device_is_an_error_in_one_line() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*PROGRAM, "policy", "schema"], stdout=full, stderr=subprocess.PIPE, check=False, timeout=60
        )
    assert (done.returncode, done.stderr) == (2, b"error: standard output is full\n")


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1:strict"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=lambda environment: next(iter(environment.values())),
)
def test_a_listing_in_an_encoding_that_lacks_a_character_degrades_and_does_not_fail(
    finished: Path, environment: dict[str, str]
) -> None:
    for command in ("report 1", "audit log --json"):
        words = [*command.split(), "--workspace", str(finished)]
        wanted = autosurgeon(*words).stdout
        program = [*PROGRAM, *words]
        done = subprocess.run(program, capture_output=True, check=False, timeout=60, env={**os.environ, **environment})
        assert (done.returncode, done.stderr) == (0, b"")
        assert len(done.stdout.splitlines()) == len(wanted.splitlines())
        if "--json" in words:
            assert json.loads(done.stdout) == json.loads(wanted)
        else:
            assert not wanted.isascii()


class InterruptedWrites(io.RawIOBase):
    """A stream on which the first write is interrupted by a real SIGINT."""

    def __init__(self) -> None:
        self.written = b""
        self.interrupted = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if not self.interrupted:
            self.interrupted = True
            signal.raise_signal(signal.SIGINT)
        self.written += bytes(data)
        return len(data)


def test_an_interrupt_in_the_middle_of_a_write_stops_the_run_and_prints_its_line_after_that_write() -> None:
    raw, limits = InterruptedWrites(), Limits()
    reporter = PlainReporter(Console(file=io.TextIOWrapper(io.BufferedWriter(raw))))
    with _interruptible(limits, reporter):
        reporter.say("a line of the run")
        for thread in threading.enumerate():
            if thread.name == "autosurgeon-stopping":
                thread.join(10)
    assert limits.stop_cause == "interrupted (SIGINT)"
    assert raw.written.decode().splitlines()[0] == "a line of the run"
    assert "stopping after this stage" in raw.written.decode()
