"""Cells as their owner sees them: how they end, and that nothing is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from builders import make_task

from autosurgeon.bench.jail import _lasting_folder, choose, levels_here
from autosurgeon.bench.worker import Cell, CellError, Limits
from autosurgeon.bench.worker import Testimony as Said
from autosurgeon.errors import UserError

GRADING = """
import sys, time
from builders import make_task
from autosurgeon.bench.worker import Cell, Limits

cell = Cell(sys.argv[1])
assert cell.examine("a", make_task(), "def solve(x): return x", "split", Limits(10, 60, 512 << 20)).cause is None
print("graded", flush=True)
time.sleep(600)
"""
"""A process that grades, and then waits to be killed."""


def ask(cell: Cell, source: str) -> Said:
    task = make_task()
    return cell.examine(task.model_dump_json(), task, source, "split", Limits(10, 60, 512 << 20))


def test_a_cell_whose_jail_is_gone_says_so_and_gives_no_score() -> None:
    cell = Cell(levels_here()[0])
    try:
        cell._processes[0].kill()
        cell._processes[0].wait()
        # What bwrap started follows it at once, but not in the same instant.
        with pytest.raises(CellError, match="ended"):
            for _ in range(100):
                ask(cell, "def solve(x): return x")
                time.sleep(0.05)
    finally:
        cell.close()


def test_a_closed_cell_leaves_no_process() -> None:
    cell = Cell(levels_here()[0])
    assert ask(cell, "def solve(x): return x").cause is None
    cell.close()
    assert all(process.poll() is not None for process in cell._processes)


def test_a_level_that_this_machine_lacks_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autosurgeon.bench.jail.levels_here", lambda: ("plain",))
    assert choose("auto") == "plain"
    with pytest.raises(UserError, match="bwrap"):
        choose("bwrap")


def killed(level: str, folder: Path) -> list[str]:
    """What a grading process that was killed has left in the folder of temporary files."""
    tests = Path(__file__).parents[1]
    path = os.pathsep.join([str(tests / "support"), str(tests.parent)])
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": path}
    command = [sys.executable, "-c", GRADING, level]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as grading:
        assert grading.stdout is not None
        assert grading.stdout.readline() == b"graded\n"
        grading.send_signal(signal.SIGKILL)
    return [entry.name for entry in folder.iterdir()]


def test_a_grader_that_is_killed_leaves_no_folder_and_the_next_one_sweeps_what_a_jail_needed(tmp_path: Path) -> None:
    for level in {"bwrap", "plain"} & set(levels_here()):
        assert killed(level, tmp_path) == []
    if "landlock" not in levels_here():
        pytest.skip("this machine has no landlock")
    (left,) = killed("landlock", tmp_path)
    os.utime(tmp_path / left, (0, 0))
    (fresh,) = killed("landlock", tmp_path)
    assert fresh != left


def test_what_another_process_still_needs_is_not_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    needed = _lasting_folder()
    os.utime(needed, (0, 0))
    others = tmp_path / "autosurgeon-library-elsewhere"
    others.symlink_to(tmp_path)
    another = _lasting_folder()
    assert set(tmp_path.iterdir()) == {needed, another, others}


def test_a_program_of_the_plain_level_stands_where_nobody_can_write() -> None:
    cell = Cell("plain")
    try:
        said = ask(cell, "def solve(x):\n    import os\n    assert os.getcwd()\n    open('left-behind', 'w')\n")
    finally:
        cell.close()
    assert said.cause == "error"
    assert "left-behind" in said.detail
