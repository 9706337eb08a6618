"""A user's own packer: a command that makes of a pack what another runtime reads, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from autosurgeon.core.export import Export
from autosurgeon.core.pack import MANIFEST_FILE, WEIGHTS_FILE
from autosurgeon.errors import UserError, nearest
from autosurgeon.packs.files import flush, hash_file, move

PLACEHOLDERS = ("pack", "manifest", "weights", "digest", "out")
KEPT_BYTES = 4000
"""Of what a packer prints, its end."""


class _Ran(NamedTuple):
    """How a command ended; `exit_code` is None where it was killed at its deadline."""

    exit_code: int | None
    output: str


def split_command(text: str) -> list[str]:
    """A command line in words, as a shell would split it; UserError where it does not say what shall be written."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UserError("a command does not parse", got=error, where="--command") from error
    if not any("{out}" in word for word in words[1:]):
        raise UserError("a command has to say where it writes", got=text, wanted="{out} among its arguments")
    for name in re.findall(r"\{(\w+)\}", text):
        if name not in PLACEHOLDERS:
            raise UserError("a command has no such placeholder", got=f"{{{name}}}", wanted=nearest(name, PLACEHOLDERS))
    return words


def run_packer(words: Sequence[str], folder: Path, digest: str, out: Path, deadline_s: float) -> Export:
    """Run a packer on a verified pack's folder, without a shell, and take over the file that it wrote.

    It writes under `out`'s own name in a folder beside it, and the file is renamed once it is complete; what was there
    before stays where there is an error. Nothing that it started in its session outlives it.

    Args:
        words: the program and its arguments, in which placeholders are replaced.
        folder: the pack's.
        digest: the pack's name.
        out: where the file shall be.
        deadline_s: seconds after which it is killed.

    """
    staged = out.parent / f".{out.name}.export"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    target, log = staged / "made" / out.name, staged / "output"
    target.parent.mkdir()
    paths = {"pack": folder, "manifest": folder / MANIFEST_FILE, "weights": folder / WEIGHTS_FILE}
    values = {name: str(path) for name, path in paths.items()} | {"digest": digest, "out": str(target)}
    command, begun = [_fill(word, values) for word in words], time.monotonic()
    sha256 = size = None
    try:
        ran = _run(command, log, deadline_s)
        error = _error(ran, target, deadline_s)
        if error is None:
            flush(target)
            sha256, size = hash_file(target), target.stat().st_size
            move(target, out)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return Export(
        format="command",
        command=tuple(command),
        out=str(out),
        seconds=round(time.monotonic() - begun, 3),
        exit_code=ran.exit_code,
        output=ran.output,
        sha256=sha256,
        bytes=size,
        error=error,
    )


def _fill(word: str, values: Mapping[str, str]) -> str:
    """A word with each placeholder replaced once: what a path holds is no placeholder."""
    return re.sub(r"\{(\w+)\}", lambda found: values[found.group(1)], word)


def _run(command: Sequence[str], log: Path, deadline_s: float) -> _Ran:
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        except OSError as error:
            raise UserError("a command cannot be started", got=error.strerror, where=command[0]) from error
        code: int | None = None
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(deadline_s)
        finally:
            # Its whole group, which its own session made one.
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    with log.open("rb") as output:
        output.seek(max(0, log.stat().st_size - KEPT_BYTES))
        return _Ran(code, output.read().decode("utf-8", errors="replace"))


def _error(ran: _Ran, target: Path, deadline_s: float) -> str | None:
    """Why there is no file, with the packer's last line; None where there is one."""
    if ran.exit_code is None:
        why = f"it was killed after {deadline_s:g} s"
    elif ran.exit_code:
        why = f"it ended with exit code {ran.exit_code}"
    elif target.is_symlink() or not target.is_file() or not target.stat().st_size:
        why = "it wrote no file to {out}"
    else:
        return None
    said = next((line.strip() for line in reversed(ran.output.splitlines()) if line.strip()), "")
    return f"{why}: {said[:200]}" if said else why
