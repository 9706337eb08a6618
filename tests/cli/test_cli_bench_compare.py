"""`bench compare`: what a person sees on a terminal, a program in a pipe, and either for a file that is none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from builders import make_result
from program import autosurgeon
from typer.testing import CliRunner

from autosurgeon.bench.results import ResultFile, ResultRow
from autosurgeon.cli.main import app
from autosurgeon.core.envelope import Poison


def write(path: Path, rows: Iterable[ResultRow]) -> Path:
    with ResultFile(path) as file:
        for row in rows:
            file.append(row)
    return path


def shown(*arguments: object, terminal: bool = False) -> str:
    env = {"FORCE_COLOR": "1" if terminal else None, "COLUMNS": "200", "TERM": "xterm"}
    done = CliRunner().invoke(app, ["bench", "compare", *map(str, arguments)], env=env, catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def refused(*arguments: object) -> str:
    """The one line on standard error."""
    done = autosurgeon("bench", "compare", *arguments)
    assert done.returncode == 2, done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert done.stdout == ""
    return line


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two tasks flip, one has no score, one has no partner, and the jails differ."""
    a = [make_result("x/0"), make_result("x/1", "fail", cause=Poison.SYNTAX), make_result("y/0"), make_result("y/1")]
    b = [make_result("x/0", "fail", cause=Poison.TIMEOUT), make_result("x/1"), make_result("y/0", "infra")]
    b += [make_result("y/2"), make_result("z/0")]
    c = [make_result("z/0", jail="plain", tier="shared")]
    return write(tmp_path / "a.jsonl", a + c), write(tmp_path / "b.jsonl", b)


def test_in_a_pipe_each_fact_is_a_line_with_tabs(pair: tuple[Path, Path]) -> None:
    lines = shown(*pair).splitlines()
    assert lines[0] == f"A: {pair[0]}: 5 rows of 5 tasks, 0 infra; tiers: shared 1, split 4; jails: bwrap 4, plain 1"
    assert lines[1] == f"B: {pair[1]}: 5 rows of 5 tasks, 1 infra; tiers: split 4; jails: bwrap 4"
    assert "x\t2\t1\t50.0 % (9.5 to 90.5)\t1\t50.0 % (9.5 to 90.5)\t1\t1\t0.75\t1" in lines
    assert "y\t0\t0\tnone (0.0 to 100.0)\t0\tnone (0.0 to 100.0)\t0\t0\t1\t1" in lines
    assert any(line.startswith("all\t3\t2\t") for line in lines)
    assert lines.index("lost\tx/0\ttimeout") + 1 == lines.index("gained\tx/1\tsyntax")
    assert "only in A\ty/1" in lines and "only in B\ty/2" in lines
    assert "y/0\t0\t1" in lines
    assert lines[-4:] == [
        "tasks not compared: 1 only in A, 1 only in B",
        "tasks with infra rows: 1 (0 rows in A, 1 in B); no score, so they are left out of rates, "
        "pass@k and the paired test",
        "warning: 1 of 3 compared tasks were graded in different tiers",
        "warning: 1 of 3 compared tasks were graded in different levels of jail",
    ]


def test_on_a_terminal_the_same_stands_in_tables_lost_in_red(pair: tuple[Path, Path]) -> None:
    drawn = shown(*pair, terminal=True)
    assert re.search(r"\x1b\[31mlost\b", drawn)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", drawn)
    assert re.search(r"lost +x/0 +timeout", plain)
    assert "exact McNemar p" in plain


def test_as_json_everything_is_there(pair: tuple[Path, Path]) -> None:
    found = json.loads(shown(*pair, "--json"))
    assert found["a"]["name"] == str(pair[0])
    assert found["lost"] == [{"task_id": "x/0", "cause": "timeout"}]
    assert found["only_b"] == ["y/2"]
    assert found["infra"] == [{"task_id": "y/0", "a": 0, "b": 1}]
    assert [bench["bench"] for bench in found["benches"]] == ["x", "y", "z"]
    assert found["total"]["tasks"] == 3
    assert (found["other_tier"], found["other_jail"]) == (1, 1)


def test_two_equal_files_say_that_nothing_flipped(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [make_result("x/0", sample=n) for n in range(5)])
    lines = shown(path, path).splitlines()
    assert lines[-1] == "no task flipped"
    assert "x\t5\t100.0 %\t100.0 %" in lines
    assert not any(line.startswith("all") for line in lines)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_hostile_name_draws_nothing_and_forges_no_line(tmp_path: Path, terminal: bool) -> None:
    name = "x/0\nlost\tx/9\x1b[2J[/red]\\[red]:smile:\u202e"
    a, b = write(tmp_path / "a.jsonl", [make_result(name)]), write(tmp_path / "b.jsonl", [make_result(name, "fail")])
    said = shown(a, b, terminal=terminal)
    assert r"x/0\nlost\tx/9\x1b[2J[/red]\[red]:smile:\u202e" in said
    assert "\x1b[2J" not in said


def test_a_file_that_is_empty_missing_or_no_result_file_is_refused_in_one_line(tmp_path: Path) -> None:
    good = write(tmp_path / "good.jsonl", [make_result("x/0")])
    empty = write(tmp_path / "empty.jsonl", [])
    other = write(tmp_path / "other.jsonl", [make_result("y/0")])
    twice = tmp_path / "twice.jsonl"
    twice.write_bytes(good.read_bytes() * 2)
    assert f"a result file is empty ({empty})" in refused(good, empty)
    assert "no task in common" in refused(good, other)
    assert "cannot be read" in refused(tmp_path / "none.jsonl", good)
    assert f"again; wanted 1, the next of this task ({twice}:2)" in refused(twice, good)
