"""Real programs in the real jail, most of them up to no good."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from builders import make_task

from autosurgeon.bench.grade import Grade, grade
from autosurgeon.bench.jail import Jail, Limits
from autosurgeon.bench.plain import decode
from autosurgeon.core.envelope import Poison

ONE = [("(1,)", "1")]
TWO = [("(1,)", "1"), ("(2,)", "2")]


@pytest.fixture(scope="module")
def jail() -> Iterator[Jail]:
    """One jail for all of them: none may hurt the next."""
    jail = Jail(Limits(cpu_s=1, memory_bytes=256 << 20))
    yield jail
    jail.close()


def solved(jail: Jail, body: str, cases: list[tuple[str, str]], head: str = "") -> Grade:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return grade(make_task(cases=cases), f"{head}def solve(x):\n{lines}", jail)


def printed(jail: Jail, source: str, given: str, wanted: str) -> Grade:
    task = make_task(kind="stdin", entry_point=None, cases=[(given, wanted)])
    return grade(task, source, jail)


@pytest.fixture(autouse=True)
def next_candidate_is_fine(jail: Jail) -> Iterator[None]:
    """Whatever a candidate did, the one after it is judged as if it had never run."""
    yield
    assert solved(jail, "return x", TWO) == Grade(2, None, "")


def test_a_right_answer_passes_every_case(jail: Jail) -> None:
    assert solved(jail, "return x", TWO) == Grade(2, None, "")


def test_a_wrong_answer_counts_the_cases_before_it(jail: Jail) -> None:
    result = solved(jail, "return 1", TWO)
    assert (result.food, result.poison) == (1, Poison.WRONG)
    assert "wanted 2, got 1" in result.detail


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("return 1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(0)", "SystemExit"),
        ("import sys\nsys.exit()", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("return solve(x)", "RecursionError"),
        ("return len([0] * 10**10)", "MemoryError"),
        ("return open('big', 'wb').write(bytes(2 << 20))", "OSError"),
    ],
)
def test_a_program_that_raises_has_failed_with_its_error(jail: Jail, body: str, name: str) -> None:
    result = solved(jail, body, ONE)
    assert (result.food, result.poison) == (0, Poison.ERROR)
    assert result.detail.startswith(name)


@pytest.mark.parametrize("source", ["def solve(x:", "x = 1\n", "raise SystemExit", "import torch", "\0", "(" * 10_000])
def test_a_program_that_does_not_even_load_has_failed(jail: Jail, source: str) -> None:
    assert grade(make_task(), source, jail).poison == Poison.ERROR


def test_an_infinite_loop_ends_as_a_timeout(jail: Jail) -> None:
    assert solved(jail, "while x == 2: pass\nreturn x", TWO)[:2] == (1, Poison.TIMEOUT)


def test_a_loop_that_swallows_every_exception_ends_all_the_same(jail: Jail) -> None:
    body = "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
    assert solved(jail, body, ONE).poison == Poison.TIMEOUT


def test_sleeping_ends_as_a_timeout_though_it_burns_nothing(jail: Jail) -> None:
    assert solved(jail, "import time\ntime.sleep(600)", ONE).poison == Poison.TIMEOUT


@pytest.mark.parametrize(
    "body",
    ["import os\nos._exit(0)", "import os\nos.kill(os.getpid(), 9)", "import os\nos.closerange(3, 99)\nreturn x"],
)
def test_a_program_that_vanishes_has_failed(jail: Jail, body: str) -> None:
    result = solved(jail, body, ONE)
    assert (result.food, result.poison) == (0, Poison.KILLED)


def test_a_memory_bomb_takes_only_itself(jail: Jail) -> None:
    result = solved(jail, "held = []\nwhile True: held.append(bytearray(16 << 20))", ONE)
    assert result.poison == Poison.ERROR
    assert "MemoryError" in result.detail


@pytest.mark.parametrize("body", ["return 'x' * (2 << 20)", "return list(range(400_000))"])
def test_a_huge_answer_is_too_much_output(jail: Jail, body: str) -> None:
    assert solved(jail, body, ONE)[:2] == (0, Poison.OVERFLOW)


def test_a_program_that_prints_without_end_is_too_much_output(jail: Jail) -> None:
    assert printed(jail, "print('x' * (2 << 20))", "", "x").poison == Poison.OVERFLOW


def test_what_a_function_prints_is_not_its_answer(jail: Jail) -> None:
    body = "import os, sys\nprint('[2]')\nos.write(1, b'noise')\nprint('x', file=sys.stderr)\nreturn x"
    assert solved(jail, body, TWO).poison is None


def test_an_object_that_claims_to_equal_everything_is_wrong(jail: Jail) -> None:
    head = "class Yes:\n    def __eq__(self, other): return True\n    def __hash__(self): return hash(1)\n"
    for answer, wanted in (("Yes()", "1"), ("[Yes()]", "[1]"), ("{1: Yes()}", "{1: 1}"), ("{Yes()}", "{1}")):
        assert solved(jail, f"return {answer}", [("(1,)", wanted)], head).poison == Poison.WRONG


@pytest.mark.parametrize("kind", ["int", "str", "list", "dict", "tuple"])
def test_a_subclass_of_a_plain_type_is_wrong(jail: Jail, kind: str) -> None:
    head = f"class Sub({kind}): pass\n"
    task = [
        ("(0,)", f"{kind}()" if kind == "int" else repr({"str": "", "list": [], "dict": {}, "tuple": ()}.get(kind)))
    ]
    wanted = [("(0,)", "0")] if kind == "int" else task
    assert solved(jail, f"return {kind}()", wanted, head).poison is None
    assert solved(jail, "return Sub()", wanted, head).poison == Poison.WRONG


@pytest.mark.parametrize(
    "answer", ["True", "1.0", "'1'", "[1]", "None", "object()", "solve", "b'1'", "1j", "x.__class__"]
)
def test_an_answer_of_another_type_is_wrong(jail: Jail, answer: str) -> None:
    assert solved(jail, f"return {answer}", ONE).poison == Poison.WRONG


@pytest.mark.parametrize("answer", ["10**6000", "[10**6000]", "chr(0xd800)", "[chr(0xdfff)]", "float('nan')", "'\\0'"])
def test_an_answer_that_is_hard_to_print_is_wrong_and_nothing_worse(jail: Jail, answer: str) -> None:
    result = solved(jail, f"return {answer}", ONE)
    assert result.poison == Poison.WRONG
    result.detail.encode()


def test_an_error_that_is_hard_to_print_is_an_error_and_nothing_worse(jail: Jail) -> None:
    result = solved(jail, "raise ValueError(chr(0xd800))", ONE)
    assert result.poison == Poison.ERROR
    result.detail.encode()


def test_an_error_that_cannot_be_described_is_no_answer(jail: Jail) -> None:
    head = "class Mute(Exception):\n    def __str__(self): raise self\n"
    assert solved(jail, "raise Mute", ONE, head).poison is not None


FORGERY = (
    "import os\nfor fd in range(3, 32):\n    try: os.write(fd, {line!r})\n    except OSError: pass\nreturn {answer}"
)


def test_a_forged_line_is_judged_like_any_answer(jail: Jail) -> None:
    forged = FORGERY.format(line=b'{"value": ["int", "0x9"]}\n', answer="x")
    assert solved(jail, forged, TWO)[:2] == (0, Poison.WRONG)


@pytest.mark.parametrize(
    "line",
    [
        b"garbage\n",
        b"[]\n",
        b"5\n",
        b"[" * 50_000 + b"\n",
        b"\xff\xfe\n",
        b'{"passed": true}\n',
        b'{"value": 1e999}\n',
        b"{}\n",
    ],
)
def test_a_forged_line_that_says_nothing_passes_nothing(jail: Jail, line: bytes) -> None:
    result = solved(jail, FORGERY.format(line=line, answer="x"), ONE)
    assert result.food == 0
    assert result.poison in (Poison.WRONG, Poison.KILLED)


def test_lines_after_the_last_case_change_nothing(jail: Jail) -> None:
    body = "import os, atexit\nif x == 2:\n    atexit.register(print, 'bye')\nreturn x"
    assert solved(jail, body, TWO).poison is None


def test_the_wanted_answers_are_not_in_the_candidates_process(jail: Jail) -> None:
    body = (
        "import sys\nframe = sys._getframe()\n"
        "while frame and 'request' not in frame.f_locals: frame = frame.f_back\n"
        "return sorted(frame.f_locals['request'])"
    )
    said = jail.run(f"def solve(x):\n    {body.replace(chr(10), chr(10) + '    ')}", "function", "solve", ["(1,)"])
    assert decode(said.answers[0]["value"]) == ["entry_point", "folder", "given", "kind", "limits", "source"]


def test_a_candidate_starts_in_an_empty_folder_and_leaves_nothing_behind(jail: Jail) -> None:
    body = "import os, builtins\nseen = os.listdir() + [getattr(builtins, 'mark', '')]\n"
    body += "open('mark', 'w').close()\nbuiltins.mark = 'mark'\nreturn seen"
    for _ in range(2):
        assert solved(jail, body, [("(1,)", "['']")]).poison is None


def test_a_child_that_outlives_its_parent_holds_nobody_up(jail: Jail) -> None:
    body = "import os, time\nif os.fork() == 0:\n    os.closerange(3, 99)\n    time.sleep(600)\nreturn x"
    assert solved(jail, body, ONE).poison is None


def test_a_large_input_reaches_the_program(jail: Jail) -> None:
    text = "7 " * 200_000
    assert printed(jail, "print(sum(map(int, input().split())))", text, "1400000\n").poison is None


@pytest.mark.parametrize(
    ("said", "passes"),
    [
        ("1 2\n3\n", True),
        ("1 2\n3", True),
        ("1 2  \n3\n\n", True),
        ("1  2\n3\n", False),
        (" 1 2\n3\n", False),
        ("1 2\n", False),
    ],
)
def test_a_judge_of_programs_forgives_blanks_at_the_end_and_nothing_else(jail: Jail, said: str, passes: bool) -> None:
    assert (printed(jail, f"print({said!r}, end='')", "", "1 2\n3\n").poison is None) == passes


def test_a_program_runs_as_main_and_reads_its_own_input_each_time(jail: Jail) -> None:
    task = make_task(kind="stdin", entry_point=None, cases=[("a\nb\n", "ab\n"), ("c\nd\n", "cd\n")])
    assert grade(task, "if __name__ == '__main__':\n    print(input() + input())\n", jail).poison is None
