from __future__ import annotations

import pytest
from builders import make_envelope, make_task

from autosurgeon.bench.envelopes import Answer, grade_answers
from autosurgeon.bench.grade import Grader
from autosurgeon.bench.impossible import MARK, choose_impossible, contradict
from autosurgeon.bench.machine_sanity import MOST, Sanity
from autosurgeon.core.envelope import Envelope
from autosurgeon.core.task import Case, Task
from autosurgeon.errors import WorldError
from autosurgeon.sections import GradingSettings

COND = make_envelope().cond
RIGHT = "def solve(x):\n    return x\n"
WRONG = "def solve(x):\n    return 0\n"
SETTINGS = GradingSettings(workers=2, cpu_s=1, wall_s=5)


def test_envelopes_come_in_the_order_of_the_answers_with_their_own_condition() -> None:
    tasks = [make_task(f"b/{n}") for n in range(6)]
    conds = [COND.model_copy(update={"handler": f"h{n}"}) for n in range(6)]
    answers = [
        Answer(task, RIGHT if n % 2 else "def solve(x): return 0", cond)
        for n, (task, cond) in enumerate(zip(tasks, conds, strict=True))
    ]
    done: list[int] = []
    envelopes = grade_answers(Grader(SETTINGS), answers, done.append)
    assert [e.task_id for e in envelopes] == [t.task_id for t in tasks]
    assert [e.passed for e in envelopes] == [False, True] * 3
    assert [e.cond for e in envelopes] == conds
    assert done == [1, 2, 3, 4, 5, 6]
    assert {e.tier for e in envelopes} == {"split"}
    assert len({e.jail for e in envelopes}) == 1


def test_an_envelope_of_any_answer_can_be_stored() -> None:
    bodies = ["chr(0xd800)", "10**6000", "{chr(0xdc00): 1}"]
    answers = [Answer(make_task(), f"def solve(x): return {body}", COND) for body in bodies]
    for envelope in grade_answers(Grader(SETTINGS), answers):
        assert Envelope.model_validate_json(envelope.model_dump_json()) == envelope


def test_a_broken_task_ends_a_measurement_as_the_worlds_failure() -> None:
    with pytest.raises(WorldError, match="b/0 could not be graded"):
        grade_answers(Grader(SETTINGS), [Answer(make_task(cases=(), tests="assert (", reference=None), RIGHT, COND)])


def test_no_score_comes_from_a_machine_on_which_references_fail() -> None:
    tasks = [make_task(f"b/{n}", reference=WRONG) for n in range(4)]
    with pytest.raises(WorldError, match="only 0 of 4 references pass"):
        grade_answers(Grader(SETTINGS), [Answer(task, RIGHT, COND) for task in tasks])


def test_a_few_broken_references_do_not_stop_a_bench() -> None:
    tasks = [make_task(f"b/{n}", reference=WRONG if n == 0 else RIGHT) for n in range(MOST)]
    envelopes = grade_answers(Grader(SETTINGS), [Answer(task, RIGHT, COND) for task in tasks])
    assert all(envelope.passed for envelope in envelopes)


def test_a_machine_that_breaks_during_a_bench_spoils_it() -> None:
    task = make_task()
    with Grader(SETTINGS) as grader:
        sanity = Sanity(grader, [task])
        sanity.before()
        sanity._sound = [task.model_copy(update={"reference": WRONG})]
        with pytest.raises(WorldError, match="passed before the bench and fails after it"):
            sanity.after()


def impossible_ones() -> list[Task]:
    check = "def check(candidate):\n    assert candidate(1) == 1\ncheck(candidate)\n"
    return [
        make_task("b/cases", cases=[("(1,)", "1"), ("(2,)", "2")]),
        make_task("b/check", cases=(), tests=check),
        make_task("b/asserts", cases=(), tests="assert solve(1) == 1\nassert solve(2) == 2\n"),
        make_task("b/wanted").model_copy(update={"cases": (Case(given="(1,)"),), "atol": 0.0}),
        make_task("b/stdin", kind="stdin", entry_point=None, cases=[("1", "1\n")], reference="print(input())\n"),
    ]


@pytest.mark.parametrize("task", impossible_ones(), ids=lambda task: task.task_id)
def test_a_program_that_solves_a_task_does_not_pass_its_impossible_twin(task: Task) -> None:
    twin = contradict(task)
    assert twin is not None
    assert twin.task_id == task.task_id + MARK
    with Grader(SETTINGS) as grader:
        real, impossible = grader.stream([(task, task.reference or ""), (twin, task.reference or "")])
    assert (real.verdict, impossible.verdict) == ("pass", "fail")


def test_tests_without_a_call_have_no_impossible_twin() -> None:
    assert contradict(make_task(cases=(), tests="assert True\n")) is None


def test_the_same_tasks_are_made_impossible_each_time_whatever_their_order() -> None:
    tasks = [make_task(f"b/{n}") for n in range(50)]
    chosen = choose_impossible(tasks)
    assert len(chosen) == 20
    assert chosen == choose_impossible(reversed(tasks))
