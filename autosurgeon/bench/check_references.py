"""Check a bench by its references: each has to pass three times, and its mutants have to fail."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Literal

from autosurgeon.bench.grade import Grade, Grader, Submission
from autosurgeon.bench.mutants import mutants_of, under_contract
from autosurgeon.core.task import Task
from autosurgeon.core.value import Value

TIMES = 3
"""Runs of each reference."""


class TaskCheck(Value):
    """Whether a task is usable as a test."""

    task_id: str
    state: Literal["sound", "flaky", "broken", "no reference"]
    detail: str
    tier: str
    cpu_s: float
    """The slowest of the reference's runs."""
    mutants: int
    survivors: tuple[str, ...]
    """Mutants that pass: the tests are weak there, or the mutant is equivalent to the reference."""

    @property
    def usable(self) -> bool:
        """Whether the task may count in a score."""
        return self.state in ("sound", "no reference")


def check_tasks(grader: Grader, tasks: Iterable[Task]) -> Iterator[TaskCheck]:
    """Check tasks, many at once, and yield the results in their order."""
    waiting: deque[tuple[Task, list[str]]] = deque()

    def submissions() -> Iterator[Submission]:
        for task in tasks:
            mutants = mutants_of(task) if task.reference is not None else {}
            waiting.append((task, list(mutants)))
            if task.reference is None:
                continue
            yield from [Submission(task, task.reference)] * TIMES
            if task.contract:
                yield Submission(task, under_contract(task), True)
            for source in mutants.values():
                yield Submission(task, source, True)

    grades = grader.stream(submissions(), afresh=True)
    while True:
        # The stream reads submissions when a grade is requested, and that fills the queue.
        first = next(grades, None)
        while waiting and waiting[0][0].reference is None:
            yield _unchecked(waiting.popleft()[0])
        if first is None:
            return
        task, names = waiting.popleft()
        runs = [first, *(next(grades) for _ in range(TIMES - 1))]
        contract = next(grades) if task.contract else None
        yield _checked(task, runs, contract, {name: next(grades) for name in names})


def _breach(contract: Grade | None) -> str:
    """Return a note on inputs that the contract refuses; published benches have some, so the task stays usable."""
    refused = contract is not None and contract.detail.startswith("AssertionError")
    return f"an input breaks the contract: {contract.detail}" if contract is not None and refused else ""


def _unchecked(task: Task) -> TaskCheck:
    return TaskCheck(
        task_id=task.task_id, state="no reference", detail="", tier="split", cpu_s=0.0, mutants=0, survivors=()
    )


def _checked(task: Task, runs: list[Grade], contract: Grade | None, mutants: dict[str, Grade]) -> TaskCheck:
    failed = [run for run in runs if run.verdict != "pass"]
    state: Literal["sound", "flaky", "broken"] = (
        "sound" if not failed else "broken" if len(failed) == len(runs) else "flaky"
    )
    detail = f"{failed[0].cause or failed[0].verdict}: {failed[0].detail}" if failed else _breach(contract)
    return TaskCheck(
        task_id=task.task_id,
        state=state,
        detail=detail,
        tier=runs[0].tier,
        cpu_s=max(run.cpu_s for run in runs),
        mutants=len(mutants),
        survivors=tuple(name for name, grade in mutants.items() if grade.verdict == "pass"),
    )
