"""Reading a bench's file in any of its formats."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import get_args

from autosurgeon.bench.formats.evalplus import read_humaneval_plus, read_mbpp_plus
from autosurgeon.bench.formats.humaneval import read_humaneval
from autosurgeon.bench.formats.json_rows import Row, read_rows
from autosurgeon.bench.formats.livecodebench import read_livecodebench
from autosurgeon.bench.formats.mbpp import read_mbpp
from autosurgeon.bench.formats.native import read_native
from autosurgeon.core.task import Task
from autosurgeon.errors import UserError, nearest
from autosurgeon.sections import BenchFormat

Format = BenchFormat
FORMATS: tuple[Format, ...] = get_args(Format)

_READERS: dict[Format, Callable[[Row, str], Task]] = {
    "humaneval": read_humaneval,
    "mbpp": read_mbpp,
    "humaneval+": read_humaneval_plus,
    "mbpp+": read_mbpp_plus,
    "livecodebench": read_livecodebench,
    "native": read_native,
}


def read_bench(
    path: Path, format: Format, bench: str | None = None, *, first: int = 1, count: int | None = None
) -> list[Task]:
    """The tasks of a benchmark's file, plain or .gz, in the file's order; UserError for the first row that is amiss.

    `bench` names the tasks' bench; the default is the format's name, or the bench that a native row names. A task's
    cluster is its id, and its split follows from its cluster, unless a native row sets them. `count` rows are read from
    the `first` on; UserError where there are fewer.
    """
    if format not in _READERS:
        raise UserError("an unknown bench format", got=format, wanted=nearest(format, _READERS))
    tasks: dict[str, Task] = {}
    last = None if count is None else first - 1 + count
    for row in islice(read_rows(path, array=format == "mbpp"), first - 1, last):
        if format == "native" and bench is not None:
            row.content["bench"] = bench
        task = _READERS[format](row, bench or format)
        if task.task_id in tasks:
            raise UserError("a task stands twice", got=task.task_id, where=row.where)
        tasks[task.task_id] = task
    if count is not None and len(tasks) < count:
        raise UserError(
            "a task file ends too early", got=f"{len(tasks)} rows from row {first} on", wanted=count, where=path
        )
    if not tasks:
        got = f"no row {first}" if first > 1 else None
        raise UserError("a task file is empty", got=got, where=path)
    return list(tasks.values())


def read_tasks(path: Path) -> list[Task]:
    """The tasks of a file in the native format."""
    return read_bench(path, "native")
