"""Impossible tasks: real tasks with contradictory checks, so that no honest program passes.

A pass on one proves that the grade does not depend on the program's answers.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from autosurgeon.core.digest import digest_text
from autosurgeon.core.task import Case, Task

MARK = "#impossible"
MOST = 20


def choose_impossible(tasks: Iterable[Task], most: int = MOST) -> list[Task]:
    """Impossible twins of some of the tasks, the same ones each time; their ids end in `#impossible`."""
    ordered = sorted(tasks, key=lambda task: digest_text(f"autosurgeon.impossible/1:{task.task_id}"))
    twins: list[Task] = []
    for task in ordered:
        if len(twins) == most:
            break
        twin = contradict(task)
        if twin is not None:
            twins.append(twin)
    return twins


def contradict(task: Task) -> Task | None:
    """The task with one check more, that holds only where the first one does not; None when it has no check to deny."""
    task_id = task.task_id + MARK
    if task.cases:
        first = task.cases[0]
        # A case without a wanted answer takes the reference's, which an exception is not.
        wanted = first.wanted if first.wanted is not None else "None"
        denied = Case(given=first.given, wanted=_other(task, wanted))
        keep = task.reference if any(case.wanted is None for case in task.cases) else None
        changes = {"task_id": task_id, "cases": (*task.cases, denied), "reference": keep, "accept": ""}
        return task.model_copy(update=changes)
    tests = _denied(task.tests)
    if tests is None:
        return None
    return task.model_copy(update={"task_id": task_id, "tests": tests, "reference": None})


def _other(task: Task, wanted: str) -> str:
    """Return an answer that differs from the wanted one."""
    if task.kind == "stdin":
        return wanted + "\nimpossible"
    return "('impossible',)" if wanted != "('impossible',)" else "None"


def _denied(tests: str) -> str | None:
    """The test code with the contrary of its first assertion about a call right after it."""

    class Denying(ast.NodeTransformer):
        done = False

        def visit_Assert(self, node: ast.Assert) -> ast.Assert | list[ast.Assert]:
            if self.done or not any(isinstance(inner, ast.Call) for inner in ast.walk(node.test)):
                return node
            self.done = True
            return [node, ast.Assert(ast.UnaryOp(ast.Not(), node.test), None)]

    denying = Denying()
    module = denying.visit(ast.parse(tests))
    return ast.unparse(ast.fix_missing_locations(module)) if denying.done else None
