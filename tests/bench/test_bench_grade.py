from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import make_task

from autosurgeon.bench import grade as grading
from autosurgeon.bench import worker as cell
from autosurgeon.bench.grade import Grade, Grader, Submission
from autosurgeon.bench.worker import Cell, CellError
from autosurgeon.core.envelope import Poison
from autosurgeon.core.task import Case, Task
from autosurgeon.sections import BenchSettings, GradingSettings

RIGHT = "def solve(x):\n    return x\n"
SETTINGS = GradingSettings(workers=2, cpu_s=1, wall_s=5)


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(SETTINGS) as grader:
        yield grader


def checked_by(tests: str, **changes: Any) -> Task:
    return make_task(cases=(), tests=tests, **changes)


def graded(grader: Grader, task: Task, *texts: str) -> list[Grade]:
    return list(grader.stream([(task, text) for text in texts], afresh=True))


def test_grading_nothing_gives_nothing(grader: Grader) -> None:
    assert list(grader.stream([])) == []


def test_the_prelude_stands_before_a_completion_and_not_before_a_whole_program(grader: Grader) -> None:
    task = make_task(prelude="def solve(x):\n")
    grades = grader.stream([Submission(task, "    return x\n"), Submission(task, RIGHT, True), Submission(task, RIGHT)])
    assert [g.verdict for g in grades] == ["pass", "pass", "fail"]


def test_equal_programs_of_one_task_are_run_once_unless_afresh(grader: Grader) -> None:
    task = make_task("b/same", cases=[("(1,)", "None")])
    text = "import time\ndef solve(x): pass\nfor _ in range(10**5): pass\n"
    first, second = grader.stream([(task, text)] * 2)
    assert first is second
    first, second = grader.stream([(task, text)] * 2, afresh=True)
    assert first is not second


def test_many_more_samples_than_the_window_come_back_in_order(grader: Grader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grading, "WINDOW", 5)
    task = make_task("b/order", cases=[("(1,)", "1")])
    grades = grader.stream((task, f"def solve(x): return {n % 3}") for n in range(40))
    assert [g.verdict == "pass" for g in grades] == [n % 3 == 1 for n in range(40)]


def test_tests_meet_the_candidate_by_value(grader: Grader) -> None:
    task = checked_by(
        "def check(candidate):\n    for n in range(5):\n        assert candidate(n) == n\ncheck(candidate)\n"
    )
    right, wrong = graded(grader, task, RIGHT, "def solve(x): return 0")
    assert (right.verdict, right.tier) == ("pass", "split")
    assert (wrong.verdict, wrong.cause) == ("fail", Poison.WRONG)


def test_a_helper_that_the_prompt_defines_is_the_prompts_own_for_the_tests(grader: Grader) -> None:
    support = "def double(x): return 2 * x\ndef solve(x): return double(x)\n"
    task = checked_by("assert candidate(3) == double(3) == solve(3)\n", support=support, reference=support)
    lying = "class Yes:\n    def __eq__(s, o): return True\ndef double(x): return Yes()\ndef solve(x): return 0\n"
    assert [g.verdict for g in graded(grader, task, support, lying)] == ["pass", "fail"]


def test_an_in_place_change_comes_back_where_the_reference_makes_one_and_nowhere_else(grader: Grader) -> None:
    sorting = checked_by("x = [2, 1]\nsolve(x)\nassert x == [1, 2]\n", reference="def solve(x): x.sort()\n")
    assert graded(grader, sorting, "def solve(x): x.sort()", "def solve(x): sorted(x)")[0].verdict == "pass"
    assert graded(grader, sorting, "def solve(x): return sorted(x)")[0].verdict == "fail"
    # A candidate that empties the argument would agree with a test that looks at it.
    copying = checked_by("x = [2, 1]\nassert sorted(solve(x)) == sorted(x)\n", reference="def solve(x): return x[:]\n")
    right, wrong = graded(grader, copying, "def solve(x): return x", "def solve(x):\n    x.clear()\n    return []\n")
    assert (right.verdict, wrong.verdict) == ("pass", "fail")


def test_tests_that_pass_a_function_are_graded_in_the_weaker_tier_and_say_so(grader: Grader) -> None:
    task = checked_by(
        "assert solve(lambda n: n + 1) == 2\nassert solve(abs) == 1\n", reference="def solve(f): return f(1)\n"
    )
    right, wrong = graded(grader, task, "def solve(f): return f(1)", "def solve(f): return 3")
    assert (right.verdict, right.tier) == ("pass", "shared")
    assert (wrong.verdict, wrong.tier, wrong.cause) == ("fail", "shared", Poison.WRONG)


@pytest.mark.parametrize(
    "cheat",
    [
        "import os\ndef solve(f): os._exit(0)\n",
        "def solve(f): raise SystemExit(0)\n",
        "class Done(BaseException): pass\ndef solve(f): raise Done\n",
        "import sys\ndef solve(f):\n    sys._getframe(1).f_globals['_held']()\n    raise SystemExit\n",
    ],
)
def test_leaving_early_does_not_pass_in_the_weaker_tier_either(grader: Grader, cheat: str) -> None:
    task = checked_by(
        "assert solve(lambda n: n + 1) == 2\nassert solve(abs) == 1\n", reference="def solve(f): return f(1)\n"
    )
    assert graded(grader, task, cheat)[0].verdict == "fail"


def test_no_answer_of_a_candidate_moves_its_task_to_the_weaker_tier(grader: Grader) -> None:
    task = checked_by("assert solve(1) == 1\n", reference=RIGHT)
    odd = "class Yes:\n    def __eq__(s, o): return True\ndef solve(x): return Yes()\n"
    (grade,) = graded(grader, task, odd)
    assert (grade.verdict, grade.tier, grade.cause) == ("fail", "split", Poison.TYPE)


def test_tests_that_never_call_the_candidate_pass_nobody(grader: Grader) -> None:
    assert graded(grader, checked_by("assert True\n"), RIGHT)[0].verdict == "fail"


def test_a_test_that_swallows_everything_does_not_hide_a_dead_candidate(grader: Grader) -> None:
    task = checked_by("try:\n    assert solve(1) == 1\nexcept BaseException:\n    pass\n")
    assert graded(grader, task, "import os\ndef solve(x): os._exit(0)")[0].cause == Poison.DIED


def test_a_stop_iteration_of_the_candidate_does_not_end_the_tests_early(grader: Grader) -> None:
    task = checked_by("assert list(map(solve, [1, 2])) == [] or all(map(lambda n: solve(n) == n, [1, 2]))\n")
    assert graded(grader, task, "def solve(x): raise StopIteration")[0].verdict == "fail"


def test_objects_of_the_tests_own_class_cross_by_their_attributes(grader: Grader) -> None:
    task = checked_by(
        "assert solve([Pair(1, 2)]) == 3\n",
        support="class Pair:\n    def __init__(self, a, b): self.a, self.b = a, b\n",
        reference="def solve(x): return x[0].a + x[0].b\n",
    )
    assert graded(grader, task, task.reference or "")[0][::4] == ("pass", "split")


def test_wanted_answers_that_a_case_does_not_name_are_the_references(grader: Grader) -> None:
    task = make_task(cases=()).model_copy(
        update={"cases": (Case(given="(3,)"),), "atol": 0.0, "reference": "def solve(x): return x / 7\n"}
    )
    right, close, wrong = graded(
        grader, task, "def solve(x): return x / 7", "def solve(x): return x / 7 + 1e-8", "def solve(x): return x / 8"
    )
    assert [right.verdict, close.verdict, wrong.verdict] == ["pass", "pass", "fail"]


def test_a_special_oracle_decides_in_place_of_comparing_and_its_own_error_is_no_pass(grader: Grader) -> None:
    task = make_task(cases=[("(2,)", "[1, 2]")], accept="set(got) == set(wanted)")
    texts = ("def solve(x): return [2, 1, 1]", "def solve(x): return [3]", "def solve(x): return 5")
    assert [g.verdict for g in graded(grader, task, *texts)] == ["pass", "fail", "fail"]


def test_a_method_of_a_class_is_called_on_a_fresh_object(grader: Grader) -> None:
    task = make_task(entry_point="Solution.twice", cases=[("(1,)", "2"), ("(1,)", "2")])
    text = (
        "class Solution:\n    def __init__(self): self.n = 1\n"
        "    def twice(self, x):\n        self.n += x\n        return self.n\n"
    )
    assert graded(grader, task, text)[0].verdict == "pass"
    assert graded(grader, task, "class Solution: pass")[0].cause == Poison.MISSING


def test_a_reference_that_is_too_slow_for_its_first_trial_is_tried_once_more() -> None:
    text = "import time\ndef solve(x):\n    start = time.process_time()\n"
    text += "    while time.process_time() < start + 0.8: pass\n    return x\n"
    with Grader(GradingSettings(workers=1, cpu_s=0.05)) as grader:
        (grade,) = grader.stream([(make_task(cases=[("(1,)", "1")], reference=text), f"{text}# mine\n")])
    assert grade.verdict == "pass", grade


def test_a_slow_task_gives_ten_times_what_its_reference_takes(grader: Grader) -> None:
    slow = (
        "import time\ndef solve(x):\n    end = time.process_time() + {}\n"
        "    while time.process_time() < end: pass\n    return x\n"
    )
    task = make_task("b/slow", reference=slow.format(0.3))
    assert graded(grader, task, slow.format(1.4))[0].verdict == "pass"
    quick = make_task("b/quick", reference=RIGHT)
    assert graded(grader, quick, slow.format(1.4))[0].cause == Poison.TIMEOUT


@pytest.mark.parametrize("tests", ["assert solve(", "raise SystemExit(0)", "import os; os._exit(0)"])
def test_tests_that_are_broken_are_no_score(grader: Grader, tests: str) -> None:
    (grade,) = graded(grader, checked_by(tests + "\n"), RIGHT)
    assert grade.verdict == ("fail" if "SystemExit" in tests else "infra")


def test_a_bench_may_have_limits_of_its_own() -> None:
    busy = "def solve(x):\n    for _ in range(10**9):\n        pass\n    return x\n"
    brief = {"short": BenchSettings(tasks=Path("t"), cpu_s=0.2, wall_s=2)}
    settings = SETTINGS.model_copy(update={"cpu_s": 60.0, "wall_s": 90.0})
    task, began = make_task("short/0", reference=None), time.monotonic()
    with Grader(settings, benches=brief) as grader:
        (grade,) = graded(grader, task, busy)
    assert grade.cause == Poison.TIMEOUT
    assert grade.cpu_s < 5
    assert time.monotonic() - began < 60


def test_a_jail_that_dies_twice_while_the_reference_lives_is_the_candidates_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = Cell.examine

    def deadly(cell: Cell, key: str, task: Task, source: str, *rest: object) -> object:
        if "deadly" in source:
            raise CellError("the cell ended")
        return honest(cell, key, task, source, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Cell, "examine", deadly)
    with Grader(SETTINGS) as grader:
        died, fine = graded(grader, make_task(), "deadly", RIGHT)
        assert (died.verdict, died.cause, fine.verdict) == ("fail", Poison.DIED, "pass")
        assert graded(grader, make_task(reference="deadly"), "deadly")[0].verdict == "infra"


def test_a_grader_can_be_used_again_after_it_was_closed() -> None:
    grader = Grader(SETTINGS)
    for _ in range(2):
        assert graded(grader, make_task(), RIGHT)[0].verdict == "pass"
        grader.close()


def test_an_argument_that_the_tests_look_at_again_has_to_be_as_the_reference_leaves_it(grader: Grader) -> None:
    task = checked_by(
        "x = [3, 1]\nassert solve(x) == 1\nassert x == [3, 1]\n", reference="def solve(x): return min(x)\n"
    )
    spoiling = "def solve(x):\n    x.sort()\n    return x[0]\n"
    assert [g.verdict for g in graded(grader, task, task.reference or "", spoiling)] == ["pass", "fail"]


def test_an_answer_that_is_none_does_not_count_as_an_error_that_tests_want(grader: Grader) -> None:
    wanting = "try:\n    solve(-1)\nexcept Exception:\n    pass\nelse:\n    raise AssertionError('no error')\n"
    task = checked_by(wanting, reference="def solve(x): raise ValueError\n")
    odd = ("def solve(x): return object()", "def solve(x): return 'x' * (1 << 26)", "solve = None\ndel solve")
    assert [g.verdict for g in graded(grader, task, task.reference or "", *odd)] == ["pass", "fail", "fail", "fail"]


def test_an_assertion_of_the_candidates_own_is_an_error(grader: Grader) -> None:
    assert graded(grader, checked_by("assert solve(1) == 1\n"), "def solve(x): assert x == 2")[0].cause == Poison.ERROR


@pytest.mark.parametrize(
    "text", ["def solve(x): return '\ud800'", "\ud800", "def solve(x):\n    raise ValueError('\ud800\\x1b[2J\\0')"]
)
def test_a_text_that_is_no_text_is_graded_and_told_as_printable_text(grader: Grader, text: str) -> None:
    for afresh in (True, False):
        (grade,) = grader.stream([(make_task(), text)], afresh=afresh)
        assert grade.verdict == "fail"
        assert grade.detail.isprintable()
        assert len(grade.detail) < 1000


def test_what_could_not_be_graded_is_tried_again_when_asked_again(
    grader: Grader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> object:
        raise OSError("no more processes")

    with monkeypatch.context() as patched:
        patched.setattr(Cell, "examine", broken)
        (first,) = grader.stream([(make_task("b/again"), RIGHT)])
    (second,) = grader.stream([(make_task("b/again"), RIGHT)])
    assert (first.verdict, second.verdict) == ("infra", "pass")
    assert "no more processes" in first.detail


def test_who_waits_for_a_grade_beats_while_a_program_is_within_its_limits_and_not_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grading, "LOOK_S", 0.02)
    monkeypatch.setattr(cell, "GRACE_S", 0.0)
    began: list[float] = []

    def hang(*_: object) -> cell.Testimony:
        began.append(time.monotonic())
        time.sleep(1.6)
        return cell.Testimony(None, "", 1, 1, 0.0)

    monkeypatch.setattr(Cell, "examine", hang)
    beats: list[float] = []
    settings = GradingSettings(workers=1, wall_s=0.4, jail="plain")
    with Grader(settings, lambda: beats.append(time.monotonic())) as waited_for:
        list(waited_for.stream([(make_task(), RIGHT)]))
    assert len(beats) > 3
    assert max(beats) - began[0] < 1.4, "a second late is a busy machine, and no beat after the limit"


@pytest.mark.parametrize(
    ("honest", "greedy"),
    [
        ("def solve(x): return 'x' * (9 << 20)", "def solve(x): return 'x' * (40 << 20)"),
        ("def solve(x): return len(bytes(150 << 20))", "def solve(x): return len(bytes(900 << 20))"),
    ],
)
def test_limits_of_memory_and_answers_rise_to_what_the_reference_needs(honest: str, greedy: str) -> None:
    with Grader(GradingSettings(workers=1, cpu_s=5, wall_s=20, memory_mib=160)) as grader:
        task = make_task(cases=()).model_copy(
            update={"cases": (Case(given="(3,)"),), "atol": 0.0, "reference": honest + "\n"}
        )
        right, wrong = graded(grader, task, honest, greedy)
        assert right.verdict == "pass"
        assert wrong.cause in (Poison.MEMORY, Poison.OUTPUT)
        small = make_task()
        assert graded(grader, small, honest)[0].verdict == "fail"
