"""Quarantine files: tasks that `bench check` finds unusable, with the reasons."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, ValidationError

from autosurgeon.core.value import Value
from autosurgeon.errors import UserError


class _Quarantine(Value):
    model_config = ConfigDict(populate_by_name=True)

    schema_: Literal["autosurgeon.quarantine/1"] = Field("autosurgeon.quarantine/1", alias="schema")
    tasks: Mapping[str, str]


def write_quarantine(path: Path, reasons: Mapping[str, str]) -> None:
    """Write the reason for each task id as JSON."""
    text = _Quarantine(tasks=dict(reasons)).model_dump_json(indent=1, by_alias=True) + "\n"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError("a quarantine file cannot be written", got=error, where=path) from error


def read_quarantine(path: Path) -> Mapping[str, str]:
    """Return the reason for each task id; UserError for a file of another kind."""
    try:
        return _Quarantine.model_validate_json(path.read_bytes()).tasks
    except OSError as error:
        raise UserError("a quarantine file cannot be read", got=error, where=path) from error
    except ValidationError as error:
        raise UserError(
            "this is no quarantine file", got=error.errors()[0]["msg"], wanted="one of `bench check`", where=path
        ) from error
