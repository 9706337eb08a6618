"""Checks of single places that a setting names: a file, a program, a key, a writable folder."""

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
    """Return the file; UserError for a folder, a pipe or a device."""
    if file.exists() and not file.is_file():
        got = "a folder" if file.is_dir() else "a pipe or a device"
        raise UserError("this is not a regular file", got=got, wanted=f"a file in setting {setting!r}", where=file)
    return file


def check_sendable(key: SecretStr | None, setting: str) -> None:
    """UserError for a key that an HTTP header cannot hold."""
    text = key.get_secret_value() if key is not None else "x"
    if not (text and text.isascii() and text.isprintable()):
        raise UserError(f"setting {setting!r} cannot be sent", wanted="a key of printable ASCII, in one line")


def check_program(command: Sequence[str], setting: str, folder: Path | None = None) -> str:
    """Find a command's program; UserError if this process cannot start it.

    Args:
        command: program and arguments.
        setting: the setting's name.
        folder: the folder in which it runs, if that has to exist.

    """
    name = command[0]
    if name.startswith("{"):
        return f"{name} is known when there is a pack"
    found = Path(name) if "/" in name else Path(shutil.which(name) or "")
    if "/" not in name and not shutil.which(name):
        raise UserError("a program is not in PATH", got=name, wanted=f"its path in setting {setting!r}")
    if not found.exists():
        raise UserError("a program does not exist", got=found, wanted=f"an existing program in setting {setting!r}")
    if not found.is_file():
        raise UserError("this is not a program", got=found, wanted=f"a file in setting {setting!r}")
    if not os.access(found, os.X_OK):
        raise UserError("a program is not executable", got=found, wanted=f"`chmod +x {found}`")
    _refuse_unknown_form(found)
    if folder is not None and folder.exists() and not os.access(folder, os.X_OK):
        raise UserError("the working folder of a command cannot be entered", got=folder)
    return str(found)


def _refuse_unknown_form(program: Path) -> None:
    """UserError for a script without a `#!` line or with a missing interpreter."""
    try:
        with program.open("rb") as file:
            head = file.read(4096)
    except PermissionError:
        return  # an executable file need not be readable
    if head.startswith(b"#!"):
        words = head[2:].split(b"\n")[0].split()
        interpreter = Path(os.fsdecode(words[0])) if words else Path("/nowhere")
        if not os.access(interpreter, os.X_OK) or b"\r" in head.split(b"\n")[0]:
            got = repr(os.fsdecode(head.split(b"\n")[0])[:100])
            raise UserError("the first line of a program names no usable interpreter", got=got, where=program)
    elif not head.strip() or (b"\0" not in head and not head.startswith(b"\x7fELF")):
        raise UserError("a program has no #! line", wanted="a first line such as #!/bin/sh", where=program)


def check_writable(folder: Path, setting: str) -> str:
    """Check that a folder is writable by writing and removing a file; a missing folder is created and removed too."""
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
            wanted=f"a writable folder in setting {setting!r}",
            where=folder,
        ) from error
    finally:
        for empty in made:
            if empty.is_dir() and not any(empty.iterdir()):
                empty.rmdir()
    return f"{folder} can be written" + ("; it does not exist yet and will be created" if made else "")
