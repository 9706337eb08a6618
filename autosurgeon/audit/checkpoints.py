"""Signed checkpoints: how long the chain was and its last hash, so that a cut or rewritten chain is seen later.

Whoever can write the whole workspace can also sign anew. Only a checkpoint that was copied elsewhere in time, with the
public key beside it, holds against that.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from autosurgeon.audit.signing import PUBLIC, is_signed, open_envelope, signed, signer_of, write_durably
from autosurgeon.core.chain import Head
from autosurgeon.failpoints import reach

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

PAYLOAD_TYPE = "application/vnd.autosurgeon.checkpoint+json"
_NAME = re.compile(r"(\d{8,})\.json")


class Checkpoint(NamedTuple):
    """What a checkpoint's file says, and whether it may be believed."""

    path: Path
    head: Head
    wrong: str
    """Why it is not to be believed; empty where it is."""


def write_checkpoint(folder: Path, keys: Path, head: Head, at: str) -> Path | None:
    """Sign the chain's head; None when this head was signed before, or nothing is there to sign."""
    path = folder / f"{head.size:08d}.json"
    # An older word on the same size is never replaced: if it differs, the chain was rewritten, and it is the proof.
    if head.size == 0 or path.is_file():
        return None
    content = {"size": head.size, "head": head.hash, "at": at}
    envelope = signed(content, PAYLOAD_TYPE, signer_of(keys))
    reach("checkpoint-signed")
    write_durably(path, (json.dumps(envelope, indent=1) + "\n").encode())
    return path


def copy_checkpoint(path: Path, keys: Path, folder: Path) -> None:
    """Keep a checkpoint in a second place, with the key that verifies it; OSError where that cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    for source in (path, keys / PUBLIC):
        target = folder / source.name
        if not target.exists():
            part = target.with_name(f".{target.name}.part")
            shutil.copyfile(source, part)
            part.replace(target)


def checkpoint_files(folder: Path) -> list[Path]:
    """The checkpoints of a folder, by the length of chain that they name."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted((path for path in found if _NAME.fullmatch(path.name)), key=lambda path: int(path.stem))


def read_checkpoints(files: list[Path], key: SSlibKey | None) -> Iterator[Checkpoint]:
    """Each checkpoint as its time comes, with what is wrong with it."""
    for path in files:
        named = int(path.stem)
        try:
            found = read_checkpoint(path, key)
        except (OSError, ValueError) as error:
            yield Checkpoint(path, Head(named, ""), f"cannot be read: {error}")
            continue
        if found.head.size != named:
            found = Checkpoint(path, Head(named, ""), f"names entry {found.head.size} inside")
        yield found


def read_checkpoint(path: Path, key: SSlibKey | None) -> Checkpoint:
    """One checkpoint; ValueError or OSError where the file is none."""
    envelope = open_envelope(path.read_bytes())
    try:
        content = json.loads(envelope.payload)
        head = Head(int(content["size"]), str(content["head"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"no checkpoint: {error}") from error
    if envelope.payload_type != PAYLOAD_TYPE:
        return Checkpoint(path, head, f"is of type {envelope.payload_type}")
    if key is None:
        return Checkpoint(path, head, "cannot be verified: the public key is gone")
    return Checkpoint(path, head, "" if is_signed(envelope, key) else "is not signed by this key")
