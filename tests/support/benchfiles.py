"""Benchmark files in their published shapes, as tests write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autosurgeon.bench.formats.read import Format, read_bench
from autosurgeon.core.task import Task
from autosurgeon.errors import UserError


def write_rows(folder: Path, *rows: dict[str, Any]) -> Path:
    """A JSONL file of these rows."""
    path = folder / "bench.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read_row(folder: Path, format: Format, row: dict[str, Any]) -> Task:
    """The one task of a file of one row."""
    [task] = read_bench(write_rows(folder, row), format)
    return task


def refused(path: Path, format: Format) -> str:
    """What reading the file is refused with."""
    with pytest.raises(UserError) as caught:
        read_bench(path, format)
    return str(caught.value)


def refused_row(folder: Path, format: Format, row: dict[str, Any]) -> str:
    """What a file of one row is refused with; it names the line."""
    message = refused(write_rows(folder, row), format)
    assert "bench.jsonl:1)" in message
    return message
