"""The capsule's working folder: read rows, report progress, and write files atomically."""

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
    """Yield the values of a JSONL file; UserError names a line that is not JSON."""
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
    """Return the rows of a JSONL file; UserError names a row without a prompt or a completion."""
    rows = []
    for number, row in enumerate(read_jsonl(path), start=1):
        if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in ("prompt", "completion")):
            raise UserError("a row has no prompt or no completion", wanted="both, as strings", where=f"{path}:{number}")
        rows.append(row)
    return rows


def write_whole(path: Path, content: str | bytes) -> None:
    """Write, flush to disk and rename, so that a reader never sees a partial file."""
    staged = path.with_name(path.name + ".part")
    with staged.open("wb") as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    staged.rename(path)


def flush(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def beat(workdir: Path) -> None:
    """Signal to the runner that work continues without a step to report; the work itself calls this, not a timer."""
    (workdir / PROGRESS_FILE).touch()


class Progress:
    """Appends one JSON line per step for the runner, at most every `every_s` except for the last step."""

    def __init__(self, workdir: Path, total: int, every_s: float = 0.1) -> None:
        self._file = (workdir / PROGRESS_FILE).open("a", encoding="utf-8", buffering=1)
        self._total = total
        self._every_s = every_s
        self._last = 0.0

    def step(self, done: int, *, force: bool = False, **metrics: float | int) -> None:
        """Report that `done` of the total are done, with metrics; `force` reports every step."""
        now = time.monotonic()
        if force or done >= self._total or now - self._last >= self._every_s:
            self._last = now
            self._file.write(json.dumps({"done": done, "total": self._total, **metrics}) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
