"""Signed checkpoints of the chain's length and last hash, which reveal a chain that is later cut or rewritten.

A person with write access to the whole workspace can sign again. Only a checkpoint that was copied elsewhere before,
with its public key, proves such a change.
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
from autosurgeon.core.hash_chain import Head
from autosurgeon.core.workspace import Workspace
from autosurgeon.failpoints import reach

if TYPE_CHECKING:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner, SSlibKey

PAYLOAD_TYPE = "application/vnd.autosurgeon.checkpoint+json"
_NAME = re.compile(r"(\d{8,})\.json")


class Checkpoint(NamedTuple):
    """A checkpoint's content; `signature_fault` verifies its signature with the key of its time."""

    path: Path
    head: Head
    wrong: str
    """Why it is invalid whatever its signature; empty where it may be valid."""
    envelope: Envelope | None = None
    """None where the file cannot be read."""


def sign_head(
    workspace: Workspace, chain: SignedChain, head: Head, at: str, signer: CryptoSigner | None = None
) -> Path | None:
    """Sign the chain's head; None where it is signed already or the chain is empty.

    Args:
        workspace: receives the checkpoint.
        chain: whose head it is.
        head: the head.
        at: when, UTC.
        signer: by default the workspace's key, which is created if nothing was signed before.

    Raises:
        UserError: the key is unusable, see `keys.signer_for`.

    """
    if head.size == 0 or _path(workspace.checkpoints, head).is_file():
        return None
    return write_checkpoint(workspace.checkpoints, signer or signer_for(workspace, chain), head, at)


def write_checkpoint(folder: Path, signer: CryptoSigner, head: Head, at: str) -> Path | None:
    """Sign a head; None where a head of this length is signed already or the chain is empty."""
    path = _path(folder, head)
    # An older checkpoint of the same size is never replaced: if it differs, it proves that the chain was rewritten.
    if head.size == 0 or path.is_file():
        return None
    content = {"size": head.size, "head": head.hash, "at": at}
    envelope = signed(content, PAYLOAD_TYPE, signer)
    reach("checkpoint-signed")
    write_durably(path, (json.dumps(envelope, indent=1) + "\n").encode())
    return path


def copy_checkpoint(path: Path, keys: Path, folder: Path) -> None:
    """Copy a checkpoint with every key and rotation that verifies it; existing files are never replaced.

    Raises:
        OSError: the folder cannot be written.

    """
    folder.mkdir(parents=True, exist_ok=True)
    for source in (path, keys / PUBLIC, *kept_keys(keys), *rotation_files(keys)):
        _copy(source, folder / source.name)
    own = (keys / PUBLIC).read_bytes()
    # The plain name holds the first key, also after a rotation of the workspace's own.
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
    """The checkpoints of a folder, ordered by the chain length in their names."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted((path for path in found if _NAME.fullmatch(path.name)), key=lambda path: int(path.stem))


def read_checkpoints(files: list[Path]) -> Iterator[Checkpoint]:
    """Read the checkpoints one at a time."""
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
    """Read a checkpoint; ValueError or OSError where the file is not one."""
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
    """Return why a checkpoint is invalid under the key of its time; empty where it is valid."""
    if checkpoint.wrong or checkpoint.envelope is None:
        return checkpoint.wrong
    if key is None:
        return "cannot be verified: the public key is missing"
    return "" if is_signed(checkpoint.envelope, key) else "is not signed by the key of its time"


def is_forged(path: Path, keys: Mapping[str, SSlibKey]) -> bool:
    """Whether a checkpoint has no signature, or none that a known key made.

    A signature by an unknown key proves neither case, since that key may be lost.
    """
    try:
        envelope = open_envelope(path.read_bytes())
    except ValueError:
        return True
    if not envelope.signatures:
        return True
    known = [keys[keyid] for keyid in envelope.signatures if keyid in keys]
    return bool(known) and not any(is_signed(envelope, key) for key in known)
