from __future__ import annotations

import pytest
from builders import make_envelope, make_task

from autosurgeon.bench.grade import Answer, Grader, compare, grade
from autosurgeon.bench.jail import Jail, Limits
from autosurgeon.bench.jail import Testimony as Said
from autosurgeon.config import GradingSettings
from autosurgeon.core.envelope import Envelope, Poison
from autosurgeon.errors import WorldError

COND = make_envelope().cond
RIGHT = "def solve(x):\n    return x\n"
SETTINGS = GradingSettings(workers=2, cpu_s=1)


def test_envelopes_come_in_the_order_of_the_answers_with_their_own_condition() -> None:
    tasks = [make_task(f"b/{n}") for n in range(6)]
    conds = [COND.model_copy(update={"handler": f"h{n}"}) for n in range(6)]
    answers = [
        Answer(task, RIGHT if n % 2 else "def solve(x): return 0", cond)
        for n, (task, cond) in enumerate(zip(tasks, conds, strict=True))
    ]
    envelopes = Grader(SETTINGS).grade_all(answers)
    assert [e.task_id for e in envelopes] == [t.task_id for t in tasks]
    assert [e.passed for e in envelopes] == [False, True] * 3
    assert [e.cond for e in envelopes] == conds


def test_equal_programs_of_one_task_are_run_once() -> None:
    done: list[int] = []
    answers = [Answer(make_task(), RIGHT, COND)] * 5 + [Answer(make_task("b/1"), RIGHT, COND)]
    assert [e.passed for e in Grader(SETTINGS).grade_all(answers, done.append)] == [True] * 6
    assert done == [1, 2]


def test_grading_nothing_gives_nothing() -> None:
    assert Grader(SETTINGS).grade_all([]) == []


def test_an_envelope_of_any_answer_can_be_stored() -> None:
    bodies = ["chr(0xd800)", "10**6000", "{chr(0xdc00): 1}"]
    answers = [Answer(make_task(), f"def solve(x): return {body}", COND) for body in bodies]
    for envelope in Grader(SETTINGS).grade_all(answers):
        assert Envelope.model_validate_json(envelope.model_dump_json()) == envelope


def test_the_prelude_stands_before_the_completion() -> None:
    task = make_task(prelude="def solve(x):\n")
    (envelope,) = Grader(SETTINGS).grade_all([Answer(task, "    return x\n", COND)])
    assert envelope.passed


def test_an_answer_that_was_never_given_is_a_failed_case() -> None:
    task = make_task(cases=[("(1,)", "1"), ("(2,)", "2")])
    said = Said([{"value": ["int", "0x1"]}], Poison.KILLED, "exit -9")
    assert compare(task, said) == (1, Poison.KILLED, "exit -9")
    assert compare(task, Said([], None, "exit 0")).poison == Poison.KILLED


def test_what_a_candidate_said_before_it_was_stopped_does_not_pass_the_rest() -> None:
    task = make_task(cases=[("(1,)", "1"), ("(2,)", "2")])
    assert compare(task, Said([{"value": ["int", "0x1"]}], Poison.TIMEOUT, "")) == (1, Poison.TIMEOUT, "")


def test_a_jail_that_is_gone_is_the_worlds_failure_and_no_score() -> None:
    jail = Jail(Limits(1, 256 << 20))
    try:
        for source in ("import os\ndef solve(x): os.kill(os.getppid(), 9)", RIGHT):
            with pytest.raises(WorldError, match="jail"):
                grade(make_task(), source, jail)
    finally:
        jail.close()
