"""Signed checkpoints: how long the chain was and its last hash, so that a cut or rewritten chain is seen later.

Whoever can write the whole workspace can also sign anew. Only a checkpoint that was copied elsewhere in time, with the
public key beside it, holds against that.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from autosurgeon.audit.keys import SignedChain, kept_keys, kept_name, signer_for
from autosurgeon.audit.rotation import rotation_files
from autosurgeon.audit.signing import PUBLIC, is_signed, open_envelope, public_key, signed, write_durably
from autosurgeon.core.chain import Head
from autosurgeon.core.workspace import Workspace
from autosurgeon.failpoints import reach

if TYPE_CHECKING:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner, SSlibKey

PAYLOAD_TYPE = "application/vnd.autosurgeon.checkpoint+json"
_NAME = re.compile(r"(\d{8,})\.json")


class Checkpoint(NamedTuple):
    """What a checkpoint's file holds; its signature is verified by the key of its time, see `signature_fault`."""

    path: Path
    head: Head
    wrong: str
    """Why it is no checkpoint to be believed, whatever its signature; empty where it may be one."""
    envelope: Envelope | None = None
    """None where the file cannot be read."""


def sign_head(
    workspace: Workspace, chain: SignedChain, head: Head, at: str, signer: CryptoSigner | None = None
) -> Path | None:
    """Sign the chain's head; None where it was signed before, or nothing is there to sign.

    Args:
        workspace: where the checkpoint goes.
        chain: whose head it is.
        head: the head.
        at: when, UTC.
        signer: the workspace's key where it is left out, made if nothing was ever signed.

    Raises:
        UserError: the key cannot be used, see `keys.signer_for`.

    """
    if head.size == 0 or _path(workspace.checkpoints, head).is_file():
        return None
    return write_checkpoint(workspace.checkpoints, signer or signer_for(workspace, chain), head, at)


def write_checkpoint(folder: Path, signer: CryptoSigner, head: Head, at: str) -> Path | None:
    """Sign a head; None where one of this length was signed before, or nothing is there to sign."""
    path = _path(folder, head)
    # An older one of the same size is never replaced: if it differs, the chain was rewritten, and it is the proof.
    if head.size == 0 or path.is_file():
        return None
    content = {"size": head.size, "head": head.hash, "at": at}
    envelope = signed(content, PAYLOAD_TYPE, signer)
    reach("checkpoint-signed")
    write_durably(path, (json.dumps(envelope, indent=1) + "\n").encode())
    return path


def copy_checkpoint(path: Path, keys: Path, folder: Path) -> None:
    """Keep a checkpoint in a second place, with every key and rotation that verifies it; nothing there is replaced.

    Raises:
        OSError: the folder cannot be written.

    """
    folder.mkdir(parents=True, exist_ok=True)
    for source in (path, keys / PUBLIC, *kept_keys(keys), *rotation_files(keys)):
        _copy(source, folder / source.name)
    own = (keys / PUBLIC).read_bytes()
    # The first key stands there under its plain name, whatever the workspace's own is by now.
    if (folder / PUBLIC).read_bytes() != own:
        _copy(keys / PUBLIC, folder / kept_name(public_key(keys / PUBLIC).keyid))


def _copy(source: Path, target: Path) -> None:
    if not target.exists():
        part = target.with_name(f".{target.name}.part")
        shutil.copyfile(source, part)
        part.replace(target)


def _path(folder: Path, head: Head) -> Path:
    return folder / f"{head.size:08d}.json"


def checkpoint_files(folder: Path) -> list[Path]:
    """The checkpoints of a folder, by the length of chain that they name."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted((path for path in found if _NAME.fullmatch(path.name)), key=lambda path: int(path.stem))


def read_checkpoints(files: list[Path]) -> Iterator[Checkpoint]:
    """Each checkpoint as its time comes."""
    for path in files:
        named = int(path.stem)
        try:
            found = read_checkpoint(path)
        except (OSError, ValueError) as error:
            yield Checkpoint(path, Head(named, ""), f"cannot be read: {error}")
            continue
        if found.head.size != named:
            found = Checkpoint(path, Head(named, ""), f"names entry {found.head.size} inside")
        yield found


def read_checkpoint(path: Path) -> Checkpoint:
    """One checkpoint; ValueError or OSError where the file is none."""
    envelope = open_envelope(path.read_bytes())
    try:
        content = json.loads(envelope.payload)
        head = Head(int(content["size"]), str(content["head"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"no checkpoint: {error}") from error
    if envelope.payload_type != PAYLOAD_TYPE:
        return Checkpoint(path, head, f"is of type {envelope.payload_type}")
    return Checkpoint(path, head, "", envelope)


def signature_fault(checkpoint: Checkpoint, key: SSlibKey | None) -> str:
    """Why a checkpoint is not to be believed, held against the key of its time; empty where it is."""
    if checkpoint.wrong or checkpoint.envelope is None:
        return checkpoint.wrong
    if key is None:
        return "cannot be verified: the public key is gone"
    return "" if is_signed(checkpoint.envelope, key) else "is not signed by the key of its time"


def is_forged(path: Path, keys: Mapping[str, SSlibKey]) -> bool:
    """Whether a checkpoint bears no signature, or one that a known key did not make.

    A signature by an unknown key proves nothing either way: that key may be lost.
    """
    try:
        envelope = open_envelope(path.read_bytes())
    except ValueError:
        return True
    if not envelope.signatures:
        return True
    known = [keys[keyid] for keyid in envelope.signatures if keyid in keys]
    return bool(known) and not any(is_signed(envelope, key) for key in known)
