"""Running a hook: its end, its words, its deadline, and its death with the loop."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from autosurgeon.core.ports import no_beat
from autosurgeon.loop.engine.user_command import KEPT_BYTES, Ran, run_hook


def shell(tmp_path: Path, script: str, deadline_s: float = 30) -> Ran:
    return run_hook(["sh", "-c", script], {"WHO": "mia"}, tmp_path, deadline_s, no_beat)


def until_gone(mark: str) -> bool:
    """Whether no process has the mark in its command line, within some seconds."""
    for _ in range(200):
        found = [p for p in Path("/proc").glob("[0-9]*/cmdline") if mark in _line(p)]
        if not found:
            return True
        time.sleep(0.05)
    return False


def _line(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def test_a_hook_ends_with_its_code_and_the_end_of_what_it_wrote(tmp_path: Path) -> None:
    assert shell(tmp_path, "echo hello $WHO; echo at $PWD >&2") == Ran(0, f"hello mia\nat {tmp_path}\n")
    ran = shell(tmp_path, f"yes | head -c {10 * KEPT_BYTES}; printf '\\0\\377last'; exit 4")
    assert (ran.exit_code, len(ran.output)) == (4, KEPT_BYTES)
    assert ran.error == "ended with exit code 4: \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}last"


def test_a_program_that_is_not_there_is_a_hook_that_fails(tmp_path: Path) -> None:
    ran = run_hook(["/nowhere/at/all"], {}, tmp_path, 30, no_beat)
    assert ran == Ran(127, "/nowhere/at/all: No such file or directory\n")
    assert shell(tmp_path, "kill -9 $$").error == "ended with exit code 137"


def test_a_hook_past_its_deadline_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    began = time.monotonic()
    ran = shell(tmp_path, "(setsid sleep 4711.1 &) ; sleep 4711.2", deadline_s=0.5)
    assert (ran.exit_code, ran.error) == (None, "was killed at its deadline")
    assert time.monotonic() - began < 8
    assert until_gone("sleep 4711")


def test_what_a_hook_leaves_running_stays_and_is_not_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()
    assert shell(tmp_path, "sleep 30.7 & echo $! > pid").exit_code == 0
    assert time.monotonic() - began < 10
    pid = (tmp_path / "pid").read_text().strip()
    assert Path(f"/proc/{pid}").exists()
    subprocess.run(["kill", pid], check=True)


def test_a_hook_dies_with_the_loop(tmp_path: Path) -> None:
    script = "(setsid sleep 4712.1 &) ; sleep 4712.2"
    code = (
        "import sys; from pathlib import Path; from autosurgeon.loop.engine.user_command import run_hook\n"
        f"run_hook(['sh', '-c', {script!r}], {{}}, Path({str(tmp_path)!r}), 60, lambda: None)"
    )
    loop = subprocess.Popen([sys.executable, "-c", code])
    while not any("sleep 4712.2" in _line(p) for p in Path("/proc").glob("[0-9]*/cmdline") if "-c" not in _line(p)):
        time.sleep(0.05)
    loop.send_signal(signal.SIGKILL)
    loop.wait()
    assert until_gone("sleep 4712")
