"""`autosurgeon.task/1`: people's own tasks, one JSON object a line, each line one Task. See README.md here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from autosurgeon.bench.formats.json_rows import Row
from autosurgeon.bench.formats.syntax import literal_of
from autosurgeon.bench.formats.to_task import make_task
from autosurgeon.core.task import Task


def read_native(row: Row, bench: str) -> Task:
    """The task of a row whose fields are a Task's; `bench`, `cluster` and `split` may be left out."""
    task = make_task(row, **({"bench": bench} | row.content))
    if task.kind == "function":
        _check_literals(task, row)
    return task


def _check_literals(task: Task, row: Row) -> None:
    for number, case in enumerate(task.cases):
        fits, given = literal_of(case.given)
        if not fits or not isinstance(given, tuple):
            raise row.misfit(f"cases.{number}.given", case.given[:60], "a tuple of literals")
        if case.wanted is not None and not literal_of(case.wanted)[0]:
            raise row.misfit(f"cases.{number}.wanted", case.wanted[:60], "a literal")


def write_tasks(path: Path, tasks: Iterable[Task]) -> None:
    """One line a task."""
    path.write_text("".join(task.model_dump_json() + "\n" for task in tasks), encoding="utf-8")
