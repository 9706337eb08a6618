"""Checks that apply to the value of every option and argument of every command.

A whole number fits a database's integer, a number is finite, a text is UTF-8 without NUL, and a path resolves to no
device or pipe except those that the shell provides.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from autosurgeon.errors import UserError

MOST = 2**63 - 1
"""The largest whole number of SQLite and PostgreSQL."""
HANDED_OVER = ("/dev/fd/", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/null", "/proc/self/fd/")


def check_parameters(command: Any) -> None:
    """Add the checks to a command and its subcommands; they run on the converted values."""
    for param in command.params:
        _check_after(param)
    for below in getattr(command, "commands", {}).values():
        check_parameters(below)


def _check_after(param: Any) -> None:
    before = param.callback

    def callback(context: Any, param: Any, value: Any) -> Any:
        if before is not None:
            value = before(context, param, value)
        name = param.opts[0] if param.param_type_name == "option" else param.metavar or param.name
        values: Iterable[Any] = value if isinstance(value, list | tuple) else [value]
        for one in values:
            check_value(name, one)
        return value

    param.callback = callback


def check_value(name: str, value: Any) -> None:
    """UserError for a value that no command can use; `name` is the option's or argument's."""
    if isinstance(value, int) and not -MOST <= value <= MOST:
        got = str(value) if abs(value) < 10**40 else "more than 40 digits"
        raise UserError(f"{name} is out of range", got=got, wanted=f"between -{MOST} and {MOST}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{name} is not finite", got=value, wanted="a finite number")
    if isinstance(value, str | Path):
        _check_text(name, str(value))
    if isinstance(value, Path):
        _check_path(name, value)


def _check_text(name: str, text: str) -> None:
    if "\0" in text:
        raise UserError(f"{name} contains a NUL", got=ascii(text[:80]), wanted="text without NUL")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{name} is not UTF-8", got=ascii(text[:80]), wanted="text in UTF-8") from error


def _check_path(name: str, path: Path) -> None:
    """UserError for a path that cannot be resolved, or that is neither a file nor a folder."""
    try:
        resolved = path.resolve()
        mode = resolved.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        # The command decides whether the path has to exist, and its message is better.
        return
    except (OSError, RuntimeError) as error:
        got = getattr(error, "strerror", None) or "a loop of symbolic links"
        raise UserError(f"{name} cannot be resolved", got=got, where=_shortened(path)) from error
    _check_text(name, str(resolved))
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode) or os.path.abspath(path).startswith(HANDED_OVER):
        return
    raise UserError(f"{name} is neither a file nor a folder", got=_kind(mode), where=path)


def _kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def _shortened(path: Path) -> str:
    text = str(path)
    return text if len(text) <= 200 else f"{text[:100]}... of {len(text)} characters"
