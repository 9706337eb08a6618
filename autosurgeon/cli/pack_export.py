"""`autosurgeon pack export`: a pack in the form that another runtime reads."""

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
    """What can be written without a command."""

    GGUF = "gguf"


class Dtype(StrEnum):
    """What a GGUF file's matrices are."""

    BF16 = "bf16"
    F32 = "f32"


def export_pack(
    digest: Annotated[str, typer.Argument(metavar="PACK", help="The pack's digest, or its first digits.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write; one that is there is replaced.")],
    form: Annotated[
        Format | None, typer.Option("--format", help="gguf, for llama.cpp; needs the package gguf.")
    ] = None,
    dtype: Annotated[
        Dtype, typer.Option("--dtype", help="Of a GGUF file's matrices; f32 doubles it, and loses nothing either.")
    ] = Dtype.BF16,
    command: Annotated[
        str | None,
        typer.Option(
            "--command", help="A packer of your own, with {pack}, {manifest}, {weights}, {digest} and {out}; no shell."
        ),
    ] = None,
    deadline: Annotated[
        float, typer.Option("--deadline", min=1, metavar="SECONDS", help="After which a packer is killed.")
    ] = 3600,
    workspace: WorkspaceOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Write a pack, once every byte of it is verified, as a GGUF file or by a packer of your own.

    The file is written beside itself and renamed: it is whole, or as it was before. The export is written down with its
    SHA-256, a packer's also with its exit code and last words; `pack show` tells of it.
    """
    from autosurgeon.cli.render import one_line, print_json, say
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.errors import UserError
    from autosurgeon.loop.deploy.custom_packer import split_command
    from autosurgeon.packs.packstore import PackStore
    from autosurgeon.wiring import open_store

    if (form is None) == (command is None):
        raise UserError("one of --format and --command says how to export")
    words = split_command(command) if command is not None else None
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise UserError("a file cannot be written there", got=out, wanted="a file's name in a folder that is there")
    packs = PackStore(Workspace(workspace.resolve()).packs)
    with open_store(workspace, writes=True) as store:
        name = store.find_pack(digest)
        packs.verify(name)
        done = _export(packs.path(name), name, out.absolute(), words, dtype, deadline)
        store.record_export(name, done)
    if done.error is not None:
        raise UserError("the packer made nothing", got=one_line(done.error), where=words[0] if words else None)
    if as_json:
        print_json({"pack": name} | done.model_dump(mode="json"))
        return
    say(f"{out}: {done.bytes} bytes, sha256 {done.sha256}")


def _export(folder: Path, name: str, out: Path, words: list[str] | None, dtype: Dtype, deadline: float) -> Export:
    from autosurgeon.core.pack import Export
    from autosurgeon.loop.deploy.custom_packer import run_packer
    from autosurgeon.packs.ggufexport import export_gguf

    if words is not None:
        return run_packer(words, folder, name, out, deadline)
    begun = time.monotonic()
    written = export_gguf(folder, name, out, dtype.value)
    seconds = round(time.monotonic() - begun, 3)
    return Export(format="gguf", dtype=dtype.value, out=str(out), seconds=seconds, **written._asdict())
