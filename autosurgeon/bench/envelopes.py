"""Grade a model's answers into envelopes; references are graded before and after, and every answer gets a score."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from autosurgeon.bench.grade import Grade, Grader, Submission
from autosurgeon.bench.machine_sanity import Sanity
from autosurgeon.core.envelope import Condition, Envelope
from autosurgeon.core.task import Task
from autosurgeon.errors import WorldError


class Answer(NamedTuple):
    """A completion and the condition it was given under."""

    task: Task
    completion: str
    cond: Condition


def grade_answers(
    grader: Grader, answers: Iterable[Answer], on_graded: Callable[[int], None] | None = None
) -> list[Envelope]:
    """Envelopes in the order of the answers; ends the grader's jails.

    Raises:
        WorldError: an answer could not be graded, or references do not pass: the world's failure is never a score.

    """
    todo = list(answers)
    envelopes = []
    sanity = Sanity(grader, (answer.task for answer in todo))
    with grader:
        sanity.before()
        grades = grader.stream(Submission(answer.task, answer.completion) for answer in todo)
        for done, (answer, grade) in enumerate(zip(todo, grades, strict=True), start=1):
            if grade.verdict == "infra":
                raise WorldError(f"{answer.task.task_id} could not be graded: {grade.detail}")
            envelopes.append(_envelope(answer, grade))
            if on_graded is not None:
                on_graded(done)
        sanity.after()
    return envelopes


def _envelope(answer: Answer, grade: Grade) -> Envelope:
    return Envelope(
        task_id=answer.task.task_id,
        bench=answer.task.bench,
        split=answer.task.split.value,
        food=grade.food,
        poison=grade.cause,
        detail=grade.detail,
        tier=grade.tier,
        jail=grade.jail,
        completion=answer.completion,
        cond=answer.cond,
    )
