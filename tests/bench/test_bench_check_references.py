from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from builders import make_task

from autosurgeon.bench.check_references import TaskCheck, check_tasks
from autosurgeon.bench.grade import Grader
from autosurgeon.bench.mutants import mutants_of, under_contract
from autosurgeon.core.task import Case, Task
from autosurgeon.sections import GradingSettings

LARGEST = "def solve(xs):\n    best = xs[0]\n    for x in xs[1:]:\n        if x > best:\n            best = x\n    return best\n"  # noqa: E501  # fmt: skip


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(GradingSettings(workers=2, cpu_s=1, wall_s=5)) as grader:
        yield grader


def checked(grader: Grader, *tasks: Task) -> list[TaskCheck]:
    return list(check_tasks(grader, tasks))


def test_a_sound_task_passes_three_times_and_its_mutants_fail(grader: Grader) -> None:
    task = make_task(cases=[("([3, 1, 2],)", "3"), ("([1, 9],)", "9"), ("([-1, -5],)", "-1")], reference=LARGEST)
    (check,) = checked(grader, task)
    assert (check.state, check.usable, check.tier) == ("sound", True, "split")
    assert check.mutants >= 6
    assert check.survivors == ()


def test_weak_tests_are_shown_by_the_wrong_programs_that_pass_them(grader: Grader) -> None:
    (check,) = checked(grader, make_task(cases=[("([0],)", "0")], reference=LARGEST))
    assert check.state == "sound"
    assert "returns 0" in check.survivors


def test_a_reference_that_fails_makes_its_task_unusable_with_the_reason(grader: Grader) -> None:
    (check,) = checked(grader, make_task(reference="def solve(x): return Node(x)\n"))
    assert (check.state, check.usable) == ("broken", False)
    assert "Node" in check.detail


def test_a_reference_that_passes_now_and_then_is_flaky(grader: Grader) -> None:
    # Time is one of the few things that differ from run to run: everything else starts from the same state.
    coin = "import time\ndef solve(x): return x if time.time_ns() // 1000 % 2 else 0\n"
    tasks = [make_task(f"b/{n}", reference=coin) for n in range(20)]
    states = {check.state for check in checked(grader, *tasks)}
    assert "flaky" in states


def test_a_task_without_a_reference_is_told_apart(grader: Grader) -> None:
    tasks = [make_task("b/0", reference=None), make_task("b/1"), make_task("b/2", reference=None)]
    assert [(check.task_id, check.state) for check in checked(grader, *tasks)] == [
        ("b/0", "no reference"),
        ("b/1", "sound"),
        ("b/2", "no reference"),
    ]


def test_an_input_that_breaks_the_contract_is_noted_and_leaves_its_task_usable(grader: Grader) -> None:
    task = make_task(cases=()).model_copy(
        update={
            "cases": (Case(given="(3,)"), Case(given="(-3,)")),
            "atol": 0.0,
            "contract": 'assert type(x) == int, "int"\nassert x > 0, "positive"\n',
        }
    )
    (check,) = checked(grader, task)
    assert (check.state, check.usable) == ("sound", True)
    assert "positive" in check.detail
    (check,) = checked(grader, task.model_copy(update={"cases": (Case(given="(3,)"),)}))
    assert (check.state, check.detail) == ("sound", "")
    (check,) = checked(grader, task.model_copy(update={"contract": "assert other_name > 0\n"}))
    assert (check.state, check.detail) == ("sound", "")


def test_mutants_are_programs_and_differ_from_the_reference() -> None:
    task = make_task(reference=LARGEST)
    mutants = mutants_of(task)
    for source in mutants.values():
        assert ast.dump(ast.parse(source)) != ast.dump(ast.parse(LARGEST))
    assert len(set(mutants.values())) == len(mutants)


def test_a_program_of_standard_input_has_mutants_too(grader: Grader) -> None:
    task = make_task(
        kind="stdin", entry_point=None, cases=[("2\n", "4\n")], reference="n = int(input())\nprint(n * 2)\n"
    )
    (check,) = checked(grader, task)
    assert check.state == "sound"
    # 2 * 2 is 2 + 2.
    assert [name.split(" in ")[0] for name in check.survivors] == ["Mult became Add"]


def test_a_task_without_a_contract_is_run_as_it_is() -> None:
    assert under_contract(make_task(reference=LARGEST)) == LARGEST
