from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchfiles import read_row, refused, refused_row, write_rows

from autosurgeon.bench.formats.read import read_bench

FULL: dict[str, Any] = {
    "text": "Write a function to add one.",
    "code": "def helper(n):\r\n  return n\r\ndef add_one(n):\r\n\treturn helper(n) + 1",
    "task_id": 9001,
    "test_setup_code": "",
    "test_list": ["assert add_one(1) == 2", "assert add_one(-1) == 0"],
    "challenge_test_list": ["assert add_one(9) == 10"],
}
SANITIZED: dict[str, Any] = {
    "source_file": "Questions.ipynb",
    "task_id": 9002,
    "prompt": "Write a function to halve a number.",
    "code": "def halve(n):\n  return n / 2",
    "test_imports": ["import math"],
    "test_list": ["assert math.isclose(halve(1), 0.5)", "assert set([halve(2)]) == set([1.0])"],
}


def run(support: str, reference: str | None, tests: str) -> None:
    scope: dict[str, Any] = {}
    exec(support, scope)
    exec(reference or "", scope)
    exec(tests, scope)


def test_a_full_row_becomes_a_task_described_by_its_sentence_and_first_test(tmp_path: Path) -> None:
    task = read_row(tmp_path, "mbpp", FULL)
    assert (task.task_id, task.bench, task.entry_point, task.prelude) == ("Mbpp/9001", "mbpp", "add_one", "")
    assert task.prompt == '"""\nWrite a function to add one.\nassert add_one(1) == 2\n"""\n'
    assert task.tests == "assert add_one(1) == 2\nassert add_one(-1) == 0\n"
    assert task.reference == "def helper(n):\n  return n\ndef add_one(n):\n\treturn helper(n) + 1\n"
    assert (task.support, task.cases) == ("", ())
    run(task.support, task.reference, task.tests)


def test_a_sanitized_row_brings_its_imports(tmp_path: Path) -> None:
    task = read_row(tmp_path, "mbpp", SANITIZED)
    assert (task.task_id, task.entry_point, task.support) == ("Mbpp/9002", "halve", "import math\n")
    run(task.support, task.reference, task.tests)


def test_the_published_array_reads_like_lines(tmp_path: Path) -> None:
    array = tmp_path / "array.json"
    array.write_text(json.dumps([FULL, SANITIZED]), encoding="utf-8")
    assert read_bench(array, "mbpp") == read_bench(write_rows(tmp_path, FULL, SANITIZED), "mbpp")
    array.write_text(json.dumps([FULL, SANITIZED | {"code": 5}]), encoding="utf-8")
    said = refused(array, "mbpp")
    assert "array.json[1])" in said
    assert "code" in said


def test_what_tests_need_of_the_program_comes_along_and_the_function_itself_does_not(tmp_path: Path) -> None:
    row = FULL | {
        "code": (
            "import sys, os\nBASE = object\nunused = 1\nclass Pair(BASE):\n  def __init__(self, a, b):\n"
            "    self.a, self.b = a, b\ndef total(pairs):\n  unused = sys\n  return sum(p.a + p.b for p in pairs)\n"
        ),
        "test_setup_code": "one = Pair(1, 2)\r\n",
        "test_list": ["assert total([one, Pair(3, 4)]) == 10 < sys.maxsize"],
    }
    task = read_row(tmp_path, "mbpp", row)
    assert task.entry_point == "total"
    for needed in ("import sys", "BASE = object", "class Pair(BASE)", "one = Pair(1, 2)\n"):
        assert needed in task.support
    for spare in ("unused", "def total"):
        assert spare not in task.support
    run(task.support, task.reference, task.tests)


@pytest.mark.parametrize(
    ("code", "tests", "entry_point"),
    [
        ("def a(n): return n\ndef b(n): return n", ["assert b(a(1)) == 1", "assert b(2) == 2"], "b"),
        ("def a(n): return n\ndef b(n): return n", ["assert b(a(1)) == 1"], "b"),
        ("def a(n): return n\ndef b(n): return n", ["assert a(1) == 1", "assert b(2) == 2"], "b"),
        ("a = lambda n: n", ["assert a(1) == 1"], "a"),
        ("class A: pass\ndef check(n): return n", ["assert check(A()) is not None"], "check"),
        ("def a(n): return n\ndef len(n): return n", ["assert a(1) == 1"], "a"),
    ],
)
def test_the_entry_point_is_the_function_that_the_tests_call(
    tmp_path: Path, code: str, tests: list[str], entry_point: str
) -> None:
    assert read_row(tmp_path, "mbpp", FULL | {"code": code, "test_list": tests}).entry_point == entry_point


def test_a_sentence_with_quotes_is_quoted_in_the_other_way(tmp_path: Path) -> None:
    prompt = read_row(tmp_path, "mbpp", FULL | {"text": 'Count """ in it.'}).prompt
    assert prompt.startswith("'''\nCount")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("task_id", "two"),
        ("task_id", True),
        ("task_id", -1),
        ("text", 5),
        ("code", "def ("),
        ("test_list", []),
        ("test_list", "assert add_one(1) == 2"),
        ("test_list", ["assert add_one("]),
        ("test_list", ["assert other(1) == 2"]),
        ("test_setup_code", "x = ("),
    ],
)
def test_a_field_that_does_not_fit_is_named(tmp_path: Path, field: str, value: object) -> None:
    assert f"does not fit: {field};" in refused_row(tmp_path, "mbpp", FULL | {field: value})


def test_a_test_that_is_no_text_is_named_by_its_index(tmp_path: Path) -> None:
    assert "test_list.1;" in refused_row(tmp_path, "mbpp", FULL | {"test_list": ["assert add_one(1) == 2", 5]})
