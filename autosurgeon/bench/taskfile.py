"""Task files: `autosurgeon.task/1`, one JSON object a line, each line one Task."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from autosurgeon.core.task import Task
from autosurgeon.errors import UserError


def read_tasks(path: Path) -> list[Task]:
    """The tasks of a file; UserError with line and field for a row that does not fit."""
    try:
        lines = path.read_bytes().splitlines()  # of bytes: of text it would split at U+2028, which JSON lets stand
    except OSError as error:
        raise UserError("a task file cannot be read", got=error, where=path) from error
    tasks: dict[str, Task] = {}
    for number, line in enumerate(lines, start=1):
        where = f"{path}:{number}"
        try:
            task = Task.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "row"
            raise UserError(f"a task does not fit: {field}", got=first["msg"], where=where) from error
        if task.task_id in tasks:
            raise UserError("a task stands twice", got=task.task_id, where=where)
        _check_cases(task, where)
        tasks[task.task_id] = task
    if not tasks:
        raise UserError("a task file is empty", where=path)
    return list(tasks.values())


def _check_cases(task: Task, where: str) -> None:
    """Refuse here what grading would stumble over later."""
    if not task.cases:
        raise UserError("a task has no cases, so anything would pass", got=task.task_id, where=where)
    if task.kind == "stdin":
        return
    if not task.entry_point:
        raise UserError("a task does not fit: entry_point", got="none", wanted="the function's name", where=where)
    for number, case in enumerate(task.cases):
        for field, literal, wanted in (("given", case.given, tuple), ("wanted", case.wanted, object)):
            try:
                fits = isinstance(ast.literal_eval(literal), wanted)
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                fits = False
            if not fits:
                name = "a tuple of literals" if field == "given" else "a literal"
                raise UserError(
                    f"a task does not fit: cases.{number}.{field}", got=literal[:60], wanted=name, where=where
                )


def write_tasks(path: Path, tasks: Iterable[Task]) -> None:
    """One line a task."""
    path.write_text("".join(task.model_dump_json() + "\n" for task in tasks), encoding="utf-8")
