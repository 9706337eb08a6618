"""Which answers a fallback is asked for: those that cannot be used, by their text alone."""

from __future__ import annotations

import pytest
from builders import make_task
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.bench.usable import is_usable

HEAD = "def solve(x):\n"


@pytest.mark.parametrize(
    ("text", "usable"),
    [
        ("def solve(x):\n    return 0\n", True),
        ("solve = lambda x: 0\n", True),
        ("from math import floor as solve\n", True),
        ("try:\n    import numpy\nexcept ImportError:\n    def solve(x):\n        return 0\n", True),
        ("", False),
        (" \n\t\n", False),
        ("Plan:\n1. think\n", False),
        ("def solve(x):\n", False),
        ("def other(x):\n    return 0\n", False),
        ("def other(solve):\n    def solve():\n        pass\n", False),
        ("[solve for solve in ()]\n", False),
        ("(" * 10_000, False),
    ],
)
def test_an_answer_is_used_if_it_is_python_and_defines_its_function(text: str, usable: bool) -> None:
    assert is_usable(make_task(), text) == usable


def test_an_answer_that_continues_a_head_is_seen_behind_it() -> None:
    task = make_task(prelude=HEAD)
    assert is_usable(task, "    return x\n")
    assert not is_usable(task, "return x\n")


def test_a_method_needs_its_class_and_a_program_only_to_be_one() -> None:
    assert is_usable(make_task(entry_point="Solution.solve"), "class Solution:\n    pass\n")
    program = make_task(kind="stdin", entry_point=None, reference=None)
    assert is_usable(program, "print(1)\n")
    assert not is_usable(program, "print(1\n")


@given(st.text("()[]{}:=\n\t \"'\\#defsolve1\0\ud800\u00e9", max_size=40))
def test_no_text_whatever_is_an_error(text: str) -> None:
    is_usable(make_task(), text)


def test_a_wrong_answer_is_used_since_no_test_is_looked_at() -> None:
    assert is_usable(make_task(tests="assert False"), "def solve(x):\n    return 'wrong'\n")
