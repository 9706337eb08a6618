from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from benchfiles import read_row, refused, refused_row, write_rows

from autosurgeon.bench.formats.read import read_bench
from autosurgeon.bench.splits import split_of

ROW: dict[str, Any] = {
    "task_id": "HumanEval/900",
    "prompt": 'def half(n):\n    return n / 2\n\n\ndef twice(n: int) -> int:\n    """Twice the number, see half."""\n',
    "entry_point": "twice",
    "canonical_solution": "    return 2 * n\n",
    "test": "\n\nMETADATA = {'author': 'us'}\n\n\ndef check(candidate):\n    assert half(candidate(3)) == 3\n",
}


def test_a_row_becomes_a_task_whose_prompt_is_the_head_of_the_function(tmp_path: Path) -> None:
    task = read_row(tmp_path, "humaneval", ROW)
    assert (task.task_id, task.bench, task.kind, task.entry_point) == (
        "HumanEval/900",
        "humaneval",
        "function",
        "twice",
    )
    assert task.prompt == task.prelude == ROW["prompt"]
    assert task.reference == ROW["canonical_solution"]
    assert task.tests == ROW["test"] + "\ncheck(candidate)\n"
    assert (task.cluster, task.split) == ("HumanEval/900", split_of("HumanEval/900"))
    assert (task.cases, task.atol) == ((), None)


def test_helpers_and_the_functions_own_name_are_the_references(tmp_path: Path) -> None:
    task = read_row(tmp_path, "humaneval", ROW)
    scope: dict[str, Any] = {}
    exec(task.support, scope)
    assert scope["half"](scope["twice"](3)) == 3
    exec(task.tests, scope | {"candidate": scope["twice"]})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("task_id", None),
        ("task_id", 0),
        ("prompt", 5),
        ("prompt", "\ud800"),
        ("entry_point", "thrice"),
        ("canonical_solution", "return ("),
        ("test", "assert candidate(1) == 2"),
        ("test", "def check(candidate:"),
        ("test", None),
    ],
)
def test_a_field_that_does_not_fit_is_named(tmp_path: Path, field: str, value: object) -> None:
    assert f"does not fit: {field};" in refused_row(tmp_path, "humaneval", ROW | {field: value})


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    row = {key: value for key, value in ROW.items() if key != "entry_point"}
    assert "entry_point; got nothing; wanted text" in refused_row(tmp_path, "humaneval", row)


def test_a_task_that_stands_twice_and_an_array_are_refused(tmp_path: Path) -> None:
    assert "stands twice; got HumanEval/900" in refused(write_rows(tmp_path, ROW, ROW), "humaneval")
    (tmp_path / "array.json").write_text("[{}]", encoding="utf-8")
    assert "a JSON array" in refused(tmp_path / "array.json", "humaneval")


def test_the_callers_name_for_the_bench_is_taken(tmp_path: Path) -> None:
    [task] = read_bench(write_rows(tmp_path, ROW), "humaneval", bench="he-2030")
    assert task.bench == "he-2030"
