"""LiveCodeBench: contest problems, solved by a program that reads standard input or by a method of `Solution`."""

from __future__ import annotations

import json
from typing import Any

from autosurgeon.bench.formats.json_rows import Row, shown
from autosurgeon.bench.formats.literals import NoLiteralError, literal
from autosurgeon.bench.formats.packed import NotPackedError, unpack
from autosurgeon.bench.formats.syntax import docstring
from autosurgeon.bench.formats.to_task import make_task
from autosurgeon.core.task import Case, Task

_STARRED = (
    "string re datetime collections heapq bisect copy math random statistics itertools functools operator io sys json"
    " builtins typing"
)
_NAMED = (
    "string re datetime collections heapq bisect copy math random statistics itertools functools operator io sys json"
)
PRELUDE = (
    "".join(f"from {name} import *\n" for name in _STARRED.split())
    + f"import {', '.join(_NAMED.split())}\n"
    + "sys.setrecursionlimit(50000)\n"
)
"""What every program of this bench finds imported, as contest sites and the bench's own grader have it."""

_STDIN_ASKED = "Write a Python program that reads the input from standard input and prints the answer."
_METHOD_ASKED = "Write the answer in Python, starting from this code:"


def read_livecodebench(row: Row, bench: str) -> Task:
    """The task of a row with question_id, question_content, starter_code, metadata and both lists of test cases.

    A list of tests is JSON text, packed JSON text (private ones) or a list. A row whose tests are of two kinds is
    refused: no release means the same by it.
    """
    tests = [*_tests(row, "public_test_cases"), *_tests(row, "private_test_cases")]
    kinds = {test["testtype"] for _, test in tests}
    if len(kinds) != 1:
        got = " and ".join(sorted(kinds)) or "no tests"
        raise row.misfit("private_test_cases", got, "tests of one testtype, stdin or functional")
    if kinds == {"stdin"}:
        return _program(row, bench, tests)
    return _method(row, bench, tests)


def _program(row: Row, bench: str, tests: list[tuple[str, dict[str, Any]]]) -> Task:
    return make_task(
        row,
        task_id=row.text("question_id"),
        bench=bench,
        kind="stdin",
        prompt=docstring(f"{row.text('question_content').strip()}\n\n{_STDIN_ASKED}"),
        prelude=PRELUDE,
        cases=[Case(given=test["input"], wanted=test["output"]) for _, test in tests],
    )


def _method(row: Row, bench: str, tests: list[tuple[str, dict[str, Any]]]) -> Task:
    starter, name = row.text("starter_code", ""), _function_name(row)
    return make_task(
        row,
        task_id=row.text("question_id"),
        bench=bench,
        kind="function",
        prompt=docstring(f"{row.text('question_content').strip()}\n\n{_METHOD_ASKED}\n\n{starter.rstrip()}"),
        prelude=PRELUDE,
        entry_point=f"Solution.{name}" if "class Solution" in starter else name,
        cases=[_call(row, place, test) for place, test in tests],
        # The bench's own grader takes a tuple for a list, at the top and nowhere below.
        accept="(list(got) if isinstance(got, tuple) else got) == wanted",
    )


def _call(row: Row, place: str, test: dict[str, Any]) -> Case:
    """One JSON value a line is one argument."""
    try:
        given = tuple(json.loads(line) for line in test["input"].split("\n") if line.strip())
        return Case(given=literal(given), wanted=literal(json.loads(test["output"])))
    except NoLiteralError as error:
        raise row.misfit(place, error, "values that a Python literal can spell") from error
    except (ValueError, RecursionError) as error:
        raise row.misfit(place, f"{shown(test['input'])} and {shown(test['output'])}", "lines of JSON") from error


def _tests(row: Row, field: str) -> list[tuple[str, dict[str, Any]]]:
    """The tests of one list, each with its place for messages."""
    packed = row.value(field, (str, list), "a list of tests, or the text of one")
    tests = _unpacked(row, field, packed) if isinstance(packed, str) else packed
    if not isinstance(tests, list):
        raise row.misfit(field, shown(tests), "a list of tests")
    for index, test in enumerate(tests):
        fits = isinstance(test, dict) and all(isinstance(test.get(key), str) for key in ("input", "output", "testtype"))
        if not fits or test["testtype"] not in ("stdin", "functional"):
            wanted = "input, output and testtype (stdin or functional)"
            raise row.misfit(f"{field}.{index}", shown(test), wanted)
    return [(f"{field}.{index}", test) for index, test in enumerate(tests)]


def _unpacked(row: Row, field: str, packed: str) -> Any:
    try:
        text = packed if packed.lstrip().startswith("[") else unpack(packed)
        return json.loads(text)
    except NotPackedError as error:
        raise row.misfit(field, error, "JSON, or base64 of zlib of a pickled string of it") from error
    except (ValueError, RecursionError) as error:
        raise row.misfit(field, error, "a JSON list of tests") from error


def _function_name(row: Row) -> str:
    """`func_name` of the metadata, which is JSON text or an object."""
    metadata = row.value("metadata", (str, dict), "an object with func_name, or the text of one")
    if isinstance(metadata, str):
        try:
            metadata = json.loads(metadata)
        except (ValueError, RecursionError) as error:
            raise row.misfit("metadata", error, "JSON") from error
    name = metadata.get("func_name") if isinstance(metadata, dict) else None
    if not isinstance(name, str) or not name.isidentifier():
        raise row.misfit("metadata.func_name", shown(name), "the function's name, since the tests are functional")
    return name
