"""Which part of an answer is run."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from builders import make_task
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.bench import runnable as module
from autosurgeon.bench.runnable import cut_sample, runnable, whole_program

PROGRAM = make_task(kind="stdin", entry_point=None, reference="print(input())\n")
ECHO = "text = input()\nif text:\n    print(text)\n"
PROSE = [
    "This program reads a line and prints it.\n",
    "```\nNote that the input is one line.\n",
    "Sample Input:\n1 2 3\n",
    'print("an unterminated string\n',
    "def broken(\n    x\n",
    '"""\nan unterminated docstring\n',
    "for x in range(3):\n",
    "    indented prose\n",
    "\u201cquoted\u201d\n",
]


@pytest.mark.parametrize("prose", PROSE)
def test_a_program_is_run_without_the_prose_behind_it(prose: str) -> None:
    assert runnable(PROGRAM, ECHO + prose + "More of it.\n").rstrip() == ECHO.rstrip()


@pytest.mark.parametrize("prose", PROSE)
def test_prose_alone_stays_what_it_is(prose: str) -> None:
    assert whole_program(prose) == prose


def test_a_program_ends_at_a_stop_of_its_task() -> None:
    task = PROGRAM.model_copy(update={"stops": ("\n# Test",)})
    assert runnable(task, "print(1)\n# Test\nprint(2)\n") == "print(1)"


def test_a_program_behind_a_prelude_is_read_with_it() -> None:
    task = PROGRAM.model_copy(update={"prelude": "if True:\n"})
    assert runnable(task, "    print(1)\nThat is all.\n") == "    print(1)\n"


def test_a_sample_of_a_function_is_cut_and_its_reference_is_not() -> None:
    text = "def solve(x):\n    return helper(x)\n\ndef helper(x):\n    return x\n"
    assert cut_sample(make_task(), text) == "def solve(x):\n    return helper(x)\n\n"
    assert cut_sample(make_task(reference=text), text) == text


@given(st.lists(st.sampled_from(["x = 1\n", "    y\n", "if x:\n", "(", ")\n", "two words\n", "'''", "\r", "\f"])))
def test_what_is_run_of_a_program_is_valid_or_all_of_it_and_is_cut_once(pieces: list[str]) -> None:
    text = "".join(pieces)
    kept = whole_program(text)
    assert text.startswith(kept)
    assert whole_program(kept) == kept
    if kept != text:
        ast.parse(kept)


def test_a_valid_program_is_unchanged() -> None:
    for file in (Path(__file__), Path(module.__file__), Path(ast.__file__)):
        source = file.read_text("utf-8")
        assert whole_program(source) == source
