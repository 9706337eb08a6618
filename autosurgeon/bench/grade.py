"""Grading: completions in, envelopes out. The wanted answers never leave this process."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from typing import NamedTuple

from autosurgeon.bench.jail import Jail, Limits, Testimony
from autosurgeon.bench.plain import NotPlainError, decode, same
from autosurgeon.config import GradingSettings
from autosurgeon.core.envelope import Condition, Envelope, Poison
from autosurgeon.core.task import Task
from autosurgeon.errors import WorldError


class Answer(NamedTuple):
    """A completion and the condition it was given under."""

    task: Task
    completion: str
    cond: Condition


class Grade(NamedTuple):
    """How many cases passed, and why the task failed, if it did."""

    food: int
    poison: Poison | None
    detail: str


def grade(task: Task, completion: str, jail: Jail) -> Grade:
    """Run one completion in the jail and compare what came out; it passes when every case does."""
    given = [case.given for case in task.cases]
    return compare(task, jail.run(task.prelude + completion, task.kind, task.entry_point, given))


def compare(task: Task, said: Testimony) -> Grade:
    """Testimony against the wanted answers; a case without an answer is a failed one."""
    food = 0
    for case, answer in zip(task.cases, said.answers, strict=False):
        if "error" in answer:
            return Grade(food, Poison.ERROR, _shown(answer["error"], 200))
        try:
            got = decode(answer.get("value"))
        except NotPlainError as error:
            return Grade(food, Poison.WRONG, _shown(error, 200))
        wanted = case.wanted if task.kind == "stdin" else ast.literal_eval(case.wanted)
        if not _agrees(task, wanted, got):
            return Grade(food, Poison.WRONG, f"on {case.given[:80]} wanted {case.wanted[:60]}, got {_shown(got, 60)}")
        food += 1
    if food == len(task.cases):
        return Grade(food, None, "")
    return Grade(food, said.ended or Poison.KILLED, said.detail)


def _shown(value: object, most: int) -> str:
    """The start of what a candidate said, as text that can be stored: no huge integer prints, no surrogate is UTF-8."""
    try:
        text = str(value)
    except ValueError:
        text = "an integer too long to print"
    return text[:most].encode("utf-8", "replace").decode("utf-8")


def _agrees(task: Task, wanted: object, got: object) -> bool:
    if task.kind == "stdin" and isinstance(wanted, str) and isinstance(got, str):
        # Judges of programs forgive blanks at line ends and at the end, and nothing else.
        return [line.rstrip() for line in wanted.rstrip().split("\n")] == [
            line.rstrip() for line in got.rstrip().split("\n")
        ]
    return same(wanted, got)


class Grader:
    """Grades many answers at once, in as many jails as there are workers."""

    def __init__(self, settings: GradingSettings) -> None:
        self._workers = settings.workers or os.cpu_count() or 1
        self._limits = Limits(settings.cpu_s, settings.memory_mib << 20)

    def grade_all(self, answers: Iterable[Answer], on_graded: Callable[[int], None] | None = None) -> list[Envelope]:
        """Envelopes in the order of the answers; equal programs of one task are run once."""
        todo = list(answers)
        unique = {(answer.task.task_id, answer.completion): answer for answer in todo}
        jails = Queue[Jail]()
        for _ in range(min(self._workers, len(unique))):
            jails.put(Jail(self._limits))
        grades: dict[tuple[str, str], Grade] = {}
        try:
            with ThreadPoolExecutor(self._workers) as pool:
                results = pool.map(lambda answer: self._in_a_jail(jails, answer), unique.values())
                for done, (key, result) in enumerate(zip(unique, results, strict=True), start=1):
                    grades[key] = result
                    if on_graded is not None:
                        on_graded(done)
        finally:
            while not jails.empty():
                jails.get().close()
        return [_envelope(answer, grades[answer.task.task_id, answer.completion]) for answer in todo]

    def _in_a_jail(self, jails: Queue[Jail], answer: Answer) -> Grade:
        """Grade in the next free jail; a jail that dies is replaced, a candidate that two died of has failed."""
        jail = jails.get()
        try:
            for _ in range(2):
                try:
                    return grade(answer.task, answer.completion, jail)
                except WorldError:
                    jail.close()
                    jail = Jail(self._limits)
            return Grade(0, Poison.KILLED, "the jail ended twice while this ran")
        finally:
            jails.put(jail)


def _envelope(answer: Answer, result: Grade) -> Envelope:
    return Envelope(
        task_id=answer.task.task_id,
        bench=answer.task.bench,
        split=answer.task.split.value,
        food=result.food,
        poison=result.poison,
        detail=result.detail,
        completion=answer.completion,
        cond=answer.cond,
    )
