"""Trying a single place that a setting names: a file, a program, a key, a folder that has to be written."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autosurgeon.errors import UserError

if TYPE_CHECKING:
    from pydantic import SecretStr


def regular_file(file: Path, setting: str) -> Path:
    """The file; UserError for what is there and would be read for ever, such as a pipe or a device."""
    if file.exists() and not file.is_file():
        got = "a folder" if file.is_dir() else "a pipe or a device"
        raise UserError("this is no file", got=got, wanted=f"a file in setting {setting!r}", where=file)
    return file


def check_sendable(key: SecretStr | None, setting: str) -> None:
    """UserError for a key that no header can hold."""
    text = key.get_secret_value() if key is not None else "x"
    if not (text and text.isascii() and text.isprintable()):
        raise UserError(f"setting {setting!r} cannot be sent", wanted="a key of printable ASCII, in one line")


def check_program(command: Sequence[str], setting: str, folder: Path | None = None) -> str:
    """Where a command's program is; UserError where this process could not start it.

    Args:
        command: program and arguments.
        setting: its name.
        folder: where it runs, if it has to exist.

    """
    name = command[0]
    if name.startswith("{"):
        return f"{name} is known once there is a pack"
    found = Path(name) if "/" in name else Path(shutil.which(name) or "")
    if "/" not in name and not shutil.which(name):
        raise UserError("a program is not in PATH", got=name, wanted=f"its path in setting {setting!r}")
    if not found.exists():
        raise UserError("a program does not exist", got=found, wanted=f"one that does, in setting {setting!r}")
    if not found.is_file():
        raise UserError("this is no program", got=found, wanted=f"a file in setting {setting!r}")
    if not os.access(found, os.X_OK):
        raise UserError("a program may not be executed", got=found, wanted=f"`chmod +x {found}`")
    _refuse_unknown_form(found)
    if folder is not None and folder.exists() and not os.access(folder, os.X_OK):
        raise UserError("the folder that a command runs in cannot be entered", got=folder)
    return str(found)


def _refuse_unknown_form(program: Path) -> None:
    """UserError for a text that no `#!` line gives an interpreter, or one whose interpreter is not there."""
    try:
        with program.open("rb") as file:
            head = file.read(4096)
    except PermissionError:
        return  # what may be executed need not be readable
    if head.startswith(b"#!"):
        words = head[2:].split(b"\n")[0].split()
        interpreter = Path(os.fsdecode(words[0])) if words else Path("/nowhere")
        if not os.access(interpreter, os.X_OK) or b"\r" in head.split(b"\n")[0]:
            got = repr(os.fsdecode(head.split(b"\n")[0])[:100])
            raise UserError("the first line of a program names no interpreter", got=got, where=program)
    elif not head.strip() or (b"\0" not in head and not head.startswith(b"\x7fELF")):
        raise UserError("a program has no #! line", wanted="a first line such as #!/bin/sh", where=program)


def check_writable(folder: Path, setting: str) -> str:
    """Whether a folder can be written, by a file that is written there and removed; it is made and removed too."""
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    probe = folder / f".autosurgeon-probe-{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with probe.open("xb") as file:
                file.write(b"probe")
                file.flush()
                os.fsync(file.fileno())
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            "a folder cannot be written",
            got=error.strerror,
            wanted=f"one that can, in setting {setting!r}",
            where=folder,
        ) from error
    finally:
        for empty in made:
            if empty.is_dir() and not any(empty.iterdir()):
                empty.rmdir()
    return f"{folder} can be written" + ("; it does not exist yet, and is made" if made else "")
