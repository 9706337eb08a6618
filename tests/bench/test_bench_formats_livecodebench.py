from __future__ import annotations

import ast
import base64
import builtins
import contextlib
import json
import os
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest
from benchfiles import read_row, refused_row
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.bench.formats.livecodebench import PRELUDE
from autosurgeon.bench.formats.packed import NotPackedError, unpack


def check(given: str, wanted: str, kind: str = "stdin") -> dict[str, str]:
    return {"input": given, "output": wanted, "testtype": kind}


def squeezed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()


def packed(tests: list[dict[str, str]]) -> str:
    return squeezed(pickle.dumps(json.dumps(tests)))


PROGRAM: dict[str, Any] = {
    "question_title": "A. Sum",
    "question_content": "Print the sum.\n\n\\sum_i \\leq 5\n",
    "platform": "atcoder",
    "question_id": "abc900_a",
    "contest_id": "abc900",
    "contest_date": "2030-01-01T00:00:00",
    "starter_code": "",
    "difficulty": "easy",
    "public_test_cases": json.dumps([check("1 2\n", "3\n")]),
    "private_test_cases": packed([check("4 5\n", "9\n"), check("", "0")]),
    "metadata": "{}",
}
METHOD: dict[str, Any] = PROGRAM | {
    "question_id": "9000",
    "platform": "leetcode",
    "starter_code": "class Solution:\n    def pick(self, nums: List[int], k: int) -> List[int]:\n        ",
    "public_test_cases": json.dumps([check('[1, 2, null]\n"k"', "[1, 2.0, true]", "functional")]),
    "private_test_cases": packed([check("[]\n0\n", "[]", "functional")]),
    "metadata": json.dumps({"func_name": "pick"}),
}


def test_a_program_is_checked_by_the_text_that_it_prints(tmp_path: Path) -> None:
    task = read_row(tmp_path, "livecodebench", PROGRAM)
    assert (task.task_id, task.bench, task.kind) == ("abc900_a", "livecodebench", "stdin")
    assert [(case.given, case.wanted) for case in task.cases] == [("1 2\n", "3\n"), ("4 5\n", "9\n"), ("", "0")]
    assert task.prompt.startswith('"""\nPrint the sum.')
    assert "standard input" in task.prompt
    assert (task.entry_point, task.accept, task.reference) == (None, "", None)


def test_a_method_is_checked_by_what_it_returns_and_a_tuple_will_do_for_a_list(tmp_path: Path) -> None:
    task = read_row(tmp_path, "livecodebench", METHOD)
    assert (task.kind, task.entry_point) == ("function", "Solution.pick")
    assert [ast.literal_eval(case.given) for case in task.cases] == [([1, 2, None], "k"), ([], 0)]
    assert [case.wanted for case in task.cases] == ["[1, 2.0, True]", "[]"]
    assert METHOD["starter_code"].rstrip() in task.prompt
    for got, fits in (([1, 2], True), ((1, 2), True), ([1], False), ([(1,), 2], False)):
        assert eval(task.accept, {"got": got, "wanted": [1, 2]}) is fits


def test_a_function_outside_a_class_is_called_by_its_name(tmp_path: Path) -> None:
    row = METHOD | {"starter_code": "def pick(nums, k):\n", "metadata": {"func_name": "pick"}}
    assert read_row(tmp_path, "livecodebench", row).entry_point == "pick"


def test_the_prelude_has_what_contest_sites_have_and_leaves_the_builtins_alone() -> None:
    scope: dict[str, Any] = {}
    exec(PRELUDE.replace("sys.setrecursionlimit(50000)", ""), scope)
    for name in ("List", "defaultdict", "Counter", "heappush", "bisect_left", "gcd", "lru_cache", "accumulate", "math"):
        assert name in scope
    assert scope["pow"] is builtins.pow
    assert scope["open"] is builtins.open


def test_private_tests_may_be_plain_json_too(tmp_path: Path) -> None:
    row = PROGRAM | {"private_test_cases": json.dumps([check("7", "7")])}
    assert len(read_row(tmp_path, "livecodebench", row).cases) == 2
    row = PROGRAM | {"public_test_cases": [check("7", "7")], "private_test_cases": "[]"}
    assert len(read_row(tmp_path, "livecodebench", row).cases) == 1


@pytest.mark.parametrize(
    ("base", "field", "value", "named"),
    [
        (PROGRAM, "question_id", 5, "question_id"),
        (PROGRAM, "question_content", None, "question_content"),
        (PROGRAM, "public_test_cases", "[", "public_test_cases"),
        (PROGRAM, "public_test_cases", "5", "public_test_cases"),
        (PROGRAM, "public_test_cases", '[{"input": "1"}]', "public_test_cases.0"),
        (PROGRAM, "public_test_cases", [check("1", "1", "interactive")], "public_test_cases.0"),
        (PROGRAM, "public_test_cases", [check("\ud800", "1")], "cases.0"),
        (PROGRAM, "private_test_cases", None, "private_test_cases"),
        (PROGRAM, "private_test_cases", "", "private_test_cases"),
        (PROGRAM, "private_test_cases", squeezed(pickle.dumps("[" * 100_000)), "private_test_cases"),
        (PROGRAM, "private_test_cases", squeezed(pickle.dumps('{"a": 1}')), "private_test_cases"),
        (METHOD, "metadata", "{}", "metadata.func_name"),
        (METHOD, "metadata", "[", "metadata"),
        (METHOD, "metadata", '{"func_name": "a b"}', "metadata.func_name"),
        (METHOD, "metadata", 5, "metadata"),
        (METHOD, "public_test_cases", [check("[1", "1", "functional")], "public_test_cases.0"),
        (METHOD, "public_test_cases", [check("[1]", "", "functional")], "public_test_cases.0"),
        (METHOD, "public_test_cases", [check("NaN", "1", "functional")], "public_test_cases.0; got NaN"),
    ],
)
def test_a_field_that_does_not_fit_is_named(
    tmp_path: Path, base: dict[str, Any], field: str, value: object, named: str
) -> None:
    assert f"does not fit: {named};" in refused_row(tmp_path, "livecodebench", base | {field: value})


def test_a_row_of_two_kinds_of_tests_and_one_of_none_are_refused(tmp_path: Path) -> None:
    mixed = PROGRAM | {"public_test_cases": [check("1", "1", "functional")]}
    assert "got functional and stdin" in refused_row(tmp_path, "livecodebench", mixed)
    empty = PROGRAM | {"public_test_cases": "[]", "private_test_cases": packed([])}
    assert "got no tests" in refused_row(tmp_path, "livecodebench", empty)


@given(text=st.text() | st.text().map(lambda text: text * 20_000), protocol=st.sampled_from([1, 2, 3, 4, 5]))
def test_packed_text_is_unpacked_as_it_was(text: str, protocol: int) -> None:
    assert unpack(squeezed(pickle.dumps(text, protocol))) == text


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("pwned",)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(Evil()),
        pickle.dumps(["[]"]),
        pickle.dumps(b"[]"),
        pickle.dumps(5),
        pickle.dumps("[]")[:-1],
        pickle.dumps("[]") + b".",
        pickle.dumps("[]").replace(b"[]", b"\xff\xff"),
        b"\x80\x04\x8c\x02[]\x8c\x02[].",
        b"\x80\x04.",
        b"\x8d" + b"\xff" * 8 + b"[].",
        b"r\xff\xff\xff\xff\x8c\x02[]",
        b"\x94" * 100_000,
        b"cos\nsystem\n(S'true'\ntR.",
        b"",
    ],
)
def test_a_pickle_of_anything_but_a_string_is_refused_and_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotPackedError, match=r"pickle|UTF-8"):
        unpack(squeezed(content))
    assert not list(tmp_path.iterdir())


def test_a_bomb_is_refused_before_it_is_in_memory() -> None:
    bomb = squeezed(bytes(50_000_000))
    with pytest.raises(NotPackedError, match="more than 1000000 bytes unpacked"):
        unpack(bomb, most=1_000_000)
    with pytest.raises(NotPackedError, match="packed"):
        unpack(bomb, most=100)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("no base64!", "base64"),
        ("\u00e9", "base64"),
        (base64.b64encode(b"no zlib").decode(), "zlib"),
        (base64.b64encode(zlib.compress(b"x" * 100)[:-5]).decode(), "early or late"),
        (base64.b64encode(zlib.compress(b"x") + b"more").decode(), "early or late"),
    ],
)
def test_what_is_not_packed_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(NotPackedError, match=why):
        unpack(text)


@given(content=st.binary(max_size=40))
def test_any_bytes_are_either_a_string_or_refused(content: bytes) -> None:
    with contextlib.suppress(NotPackedError):
        assert isinstance(unpack(squeezed(content)), str)
