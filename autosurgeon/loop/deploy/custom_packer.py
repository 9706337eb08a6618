"""A user's own packer: a command that makes of a pack what another runtime reads, whole or not at all."""

from __future__ import annotations

import re
import shlex
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from autosurgeon.core.pack import MANIFEST_FILE, WEIGHTS_FILE, Export
from autosurgeon.core.ports import no_beat
from autosurgeon.errors import UserError, nearest
from autosurgeon.loop.engine.user_command import run_hook
from autosurgeon.packs.files import flush, hash_file, move

PLACEHOLDERS = ("pack", "manifest", "weights", "digest", "out")


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
    before stays where there is an error.

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
    target = staged / out.name
    paths = {"pack": folder, "manifest": folder / MANIFEST_FILE, "weights": folder / WEIGHTS_FILE}
    values = {name: str(path) for name, path in paths.items()} | {"digest": digest, "out": str(target)}
    # Each placeholder is replaced once: the text of a path is none.
    command = [re.sub(r"\{(\w+)\}", lambda found: values[found.group(1)], word) for word in words]
    begun = time.monotonic()
    sha256 = size = None
    try:
        ran = run_hook(command, {}, Path.cwd(), deadline_s, no_beat)
        error = ran.error or _fault(target)
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


def _fault(target: Path) -> str | None:
    """What is wrong with what was written; None where there is a file."""
    is_file = target.is_file() and not target.is_symlink() and target.stat().st_size
    return None if is_file else "wrote no file to {out}"
