"""The capsule's folder: reading rows, reporting progress, writing a file so that it is whole or absent."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autosurgeon.core.jobs import PROGRESS_FILE
from autosurgeon.errors import UserError


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file; UserError names the line that is not one."""
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise UserError("a row is not JSON", got=str(error), where=f"{path}:{number}") from error
    except FileNotFoundError as error:
        raise UserError("a file is missing", where=path) from error


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file; UserError names the one that lacks a prompt or a completion."""
    rows = []
    for number, row in enumerate(read_jsonl(path), start=1):
        if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in ("prompt", "completion")):
            raise UserError("a row has no prompt or no completion", wanted="both, as strings", where=f"{path}:{number}")
        rows.append(row)
    return rows


def write_whole(path: Path, text: str) -> None:
    """Write, flush to disk and rename, so that a reader never sees half of it."""
    staged = path.with_name(path.name + ".part")
    with staged.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    staged.rename(path)


def flush(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def beat(workdir: Path) -> None:
    """Tell the runner that work goes on, where there is no step to report; called by the work itself, by no timer."""
    (workdir / PROGRESS_FILE).touch()


class Progress:
    """Appends one JSON line per step for the runner to show; at most every `every_s` but for the last step."""

    def __init__(self, workdir: Path, total: int, every_s: float = 0.1) -> None:
        self._file = (workdir / PROGRESS_FILE).open("a", encoding="utf-8", buffering=1)
        self._total = total
        self._every_s = every_s
        self._last = 0.0

    def step(self, done: int, *, force: bool = False, **metrics: float | int) -> None:
        """Report that `done` of the total are done, with what was measured; `force` where every step counts."""
        now = time.monotonic()
        if force or done >= self._total or now - self._last >= self._every_s:
            self._last = now
            self._file.write(json.dumps({"done": done, "total": self._total, **metrics}) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
