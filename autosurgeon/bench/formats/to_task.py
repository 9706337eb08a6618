"""From a row to a task: filled in, validated and checked for what grading would stumble over later."""

from __future__ import annotations

import math
from typing import Any

from pydantic import ValidationError

from autosurgeon.bench.formats.json_rows import Row, shown
from autosurgeon.bench.formats.syntax import parse
from autosurgeon.bench.splits import split_of
from autosurgeon.core.task import Task

_TEXTS = ("task_id", "bench", "cluster", "prompt", "prelude", "tests", "support", "accept", "contract", "reference")


def make_task(row: Row, /, **content: Any) -> Task:
    """A checked task; UserError names the field. Its cluster is its id, and its split its cluster's, if not given."""
    content.setdefault("cluster", content.get("task_id"))
    if isinstance(content["cluster"], str):
        content.setdefault("split", split_of(row.sound("cluster", content["cluster"])))
    try:
        task = Task.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "row"
        got = "nothing" if first["type"] == "missing" else shown(first["input"])
        raise row.misfit(field, got, first["msg"]) from error
    _check(task, row)
    return task


def _check(task: Task, row: Row) -> None:
    for field in _TEXTS:
        row.sound(field, getattr(task, field) or "")
    for number, case in enumerate(task.cases):
        row.sound(f"cases.{number}", case.given + (case.wanted or ""))
    if not task.task_id:
        raise row.misfit("task_id", "nothing", "a name")
    if not task.cases and not task.tests.strip():
        raise row.misfit("cases", "no cases and no tests", "at least one, since anything would pass")
    if task.kind == "stdin":
        _check_program(task, row)
    elif not _is_callable_name(task.entry_point):
        raise row.misfit("entry_point", shown(task.entry_point), "a function's name or Class.method")
    if task.reference is None:
        for number, case in enumerate(task.cases):
            if case.wanted is None:
                raise row.misfit(f"cases.{number}.wanted", "nothing, and no reference", "one of the two")
    if not 0 <= task.base_cases <= len(task.cases):
        raise row.misfit("base_cases", task.base_cases, f"0 to {len(task.cases)}, the number of cases")
    if task.atol is not None and not (math.isfinite(task.atol) and task.atol >= 0):
        raise row.misfit("atol", task.atol, "a tolerance: finite, not negative")
    for field in ("tests", "support", "contract"):
        if parse(getattr(task, field)) is None:
            raise row.misfit(field, shown(getattr(task, field)), "Python")
    if task.accept and parse(task.accept, "eval") is None:
        raise row.misfit("accept", shown(task.accept), "a Python expression")


def _check_program(task: Task, row: Row) -> None:
    """Nothing can call a program, and there is no answer but its text."""
    for field in ("entry_point", "tests", "accept", "contract"):
        if getattr(task, field):
            raise row.misfit(field, shown(getattr(task, field)), "nothing, since this task is a program")
    for number, case in enumerate(task.cases):
        if case.wanted is None:
            raise row.misfit(f"cases.{number}.wanted", "nothing", "the text on standard output")


def _is_callable_name(name: str | None) -> bool:
    parts = (name or "").split(".")
    return len(parts) <= 2 and all(part.isidentifier() for part in parts)
