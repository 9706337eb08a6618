"""`autosurgeon pack export`: a pack in the format of another runtime."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autosurgeon.cli.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from autosurgeon.core.pack import Export


class Format(StrEnum):
    """The formats that need no command."""

    GGUF = "gguf"


class Dtype(StrEnum):
    """The type of a GGUF file's matrices."""

    BF16 = "bf16"
    F32 = "f32"


def export_pack(
    digest: Annotated[str, typer.Argument(metavar="PACK", help="The pack's digest, or its first digits.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write; an existing file is replaced.")],
    form: Annotated[
        Format | None, typer.Option("--format", help="gguf, for llama.cpp; needs the package gguf.")
    ] = None,
    dtype: Annotated[
        Dtype, typer.Option("--dtype", help="Type of a GGUF file's matrices; both are lossless, f32 doubles the size.")
    ] = Dtype.BF16,
    command: Annotated[
        str | None,
        typer.Option(
            "--command",
            help="Your own packer, with {pack}, {manifest}, {weights}, {digest} and {out}; run without a shell.",
        ),
    ] = None,
    deadline: Annotated[
        float, typer.Option("--deadline", min=1, metavar="SECONDS", help="Time after which a packer is killed.")
    ] = 3600,
    workspace: WorkspaceOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Verify a pack byte by byte and write it as a GGUF file or by your own packer.

    The file is replaced atomically. The export is recorded with its SHA-256, a packer's also with exit code and last
    output; `pack show` lists it.
    """
    from autosurgeon.cli.render import one_line, print_json, say
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.errors import UserError
    from autosurgeon.loop.deploy.custom_packer import split_command
    from autosurgeon.packs.packstore import PackStore
    from autosurgeon.wiring import open_store

    if (form is None) == (command is None):
        raise UserError("an export needs a format or a command", wanted="either --format or --command")
    words = split_command(command) if command is not None else None
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise UserError("a file cannot be written there", got=out, wanted="a file name in an existing folder")
    packs = PackStore(Workspace(workspace.resolve()).packs)
    with open_store(workspace, writes=True) as store:
        name = store.find_pack(digest)
        packs.verify(name)
        done = _export(packs.path(name), name, out.absolute(), words, dtype, deadline)
        store.record_export(name, done)
    if done.error is not None:
        raise UserError("the packer wrote no file", got=one_line(done.error), where=words[0] if words else None)
    if as_json:
        print_json({"pack": name} | done.model_dump(mode="json"))
        return
    say(f"{out}: {done.bytes} bytes, sha256 {done.sha256}")


def _export(folder: Path, name: str, out: Path, words: list[str] | None, dtype: Dtype, deadline: float) -> Export:
    from autosurgeon.core.pack import Export
    from autosurgeon.loop.deploy.custom_packer import run_packer
    from autosurgeon.packs.gguf_export import export_gguf

    if words is not None:
        return run_packer(words, folder, name, out, deadline)
    begun = time.monotonic()
    written = export_gguf(folder, name, out, dtype.value)
    seconds = round(time.monotonic() - begun, 3)
    return Export(format="gguf", dtype=dtype.value, out=str(out), seconds=seconds, **written._asdict())
