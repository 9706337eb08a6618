"""The signing key of a workspace: loaded where something is signed already, created only where nothing is.

The folder holds `private.pem` and `public.json`, the public halves of earlier keys as `public-KEYID.json`, and the
files of rotations (see `rotation`). Only a person replaces a lost key; it is never replaced automatically.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from autosurgeon.audit.signing import (
    PRIVATE,
    PUBLIC,
    generate_signer,
    key_bytes,
    key_content,
    open_envelope,
    private_signer,
    public_key,
    write_durably,
)
from autosurgeon.core.hash_chain import Head
from autosurgeon.core.person import PersonAct
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import UserError

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

STAGED = "next.pem"
"""The new key of a rotation in progress; it is in force once the chain holds that rotation."""
ROTATE = "rotate-key"
PROBED = 4096
"""Number of entries before the head that are probed for a checkpoint by name before the folder is listed."""
LOST = "`autosurgeon audit rotate-key --lost --reason R` makes a new key in the open"


class ActEntry(Protocol):
    """An act of a person, in the chain."""

    @property
    def seq(self) -> int | None:
        """The number of the entry."""

    @property
    def act(self) -> PersonAct:
        """What was done."""


class SignedChain(Protocol):
    """The signed chain, as the store provides it."""

    def head(self) -> Head:
        """Its length and last hash."""

    def last_act(self, act: str) -> ActEntry | None:
        """The newest act of that name."""

    def is_past_first_decision(self) -> bool:
        """Whether the chain has more than one decision, so that the first one has a checkpoint."""


class Signature(NamedTuple):
    """The ids of the keys that a checkpoint names as its signers; not verified."""

    path: Path
    keyids: frozenset[str]


def signer_for(workspace: Workspace, chain: SignedChain) -> CryptoSigner:
    """Load the workspace's signer; its key is created where nothing is signed yet.

    Raises:
        UserError: the key is missing, damaged, readable by other users, or not the one in force.

    """
    return load_signer(workspace, chain) or make_key(workspace.keys)


def make_key(folder: Path) -> CryptoSigner:
    """Create a key in an empty folder, readable only by its owner."""
    signer = generate_signer()
    # The private half comes first: after a crash between the two, the public one is derived from it.
    write_durably(folder / PRIVATE, signer.private_bytes, mode=0o600)
    write_durably(folder / PUBLIC, key_bytes(signer.public_key))
    return signer


def load_signer(workspace: Workspace, chain: SignedChain, *, any_mode: bool = False) -> CryptoSigner | None:
    """Load the signer in force; None where nothing is signed yet, so that a key may be created.

    A missing public half is derived from the private one, if that is the key in force.

    Args:
        workspace: whose key it is.
        chain: its chain of events.
        any_mode: accept a private key that other users can read.

    Raises:
        UserError: see signer_for.

    """
    folder = workspace.keys
    private, public = folder / PRIVATE, folder / PUBLIC
    if (staged := recorded_successor(folder, chain)) is not None:
        return staged
    newest = newest_signature(workspace.checkpoints, chain.head().size)
    if not _is_there(private):
        if newest is None and not any(_key_files(folder)) and not chain.is_past_first_decision():
            return None
        raise _missing(private, newest)
    signer = private_signer(private, any_mode=any_mode)
    key = signer.public_key
    known = public_key(public) if _is_there(public) else None
    is_in_force = newest is None or key.keyid in newest.keyids or _is_successor(key, chain)
    if known is not None and key_content(known) != key_content(key):
        fits = PRIVATE if is_in_force else PUBLIC if newest and known.keyid in newest.keyids else "neither"
        raise UserError(
            "the files of the signing key belong to two different keys",
            got=f"{PRIVATE} of key {key.keyid[:16]}, {PUBLIC} of key {known.keyid[:16]}",
            wanted=f"both files of one key, from a backup ({fits} fits the newest checkpoint); or {LOST}",
            where=folder,
        )
    if not is_in_force:
        assert newest is not None  # it names another key
        named = ", ".join(sorted(keyid[:16] for keyid in newest.keyids))
        raise UserError(
            "the newest checkpoint is not signed with this signing key",
            got=f"key {key.keyid[:16]}",
            wanted=f"key {named} of {newest.path.name}, restored from a backup; or {LOST}",
            where=private,
        )
    if known is None:
        write_public(folder, key)
    return signer


def write_public(folder: Path, key: SSlibKey) -> None:
    """Write the public half; UserError where the folder cannot be written."""
    try:
        write_durably(folder / PUBLIC, key_bytes(key))
    except OSError as error:
        raise UserError("the public key cannot be written", got=error.strerror, where=folder / PUBLIC) from error


def recorded_successor(folder: Path, chain: SignedChain) -> CryptoSigner | None:
    """Load the new key of a recorded rotation that a crash interrupted; None where there is none."""
    if not _is_there(folder / STAGED):
        return None
    try:
        staged = private_signer(folder / STAGED)
    except UserError:
        return None  # the file is written before the chain's entry: no rotation of an incomplete file is recorded
    return staged if _is_successor(staged.public_key, chain) else None


def known_keys(folder: Path) -> dict[str, SSlibKey]:
    """Read every public key of a folder by its id, current and earlier ones; UserError for a damaged one."""
    keys = [public_key(path) for path in _key_files(folder)]
    return {key.keyid: key for key in keys}


def kept_keys(folder: Path) -> list[Path]:
    """List the files of earlier public keys."""
    return sorted(folder.glob("public-*.json"))


def kept_name(keyid: str) -> str:
    """Return the file name of an earlier public key."""
    return f"public-{keyid[:16]}.json"


def newest_signature(checkpoints: Path, size: int) -> Signature | None:
    """Find the newest readable checkpoint up to a chain length, and its signers; None where there is none."""
    probed = (checkpoints / f"{number:08d}.json" for number in range(size, max(0, size - PROBED), -1))
    # A long campaign has hundreds of thousands of files; the newest is nearly always a few entries back.
    found = next((signature for path in probed if (signature := _signature(path)) is not None), None)
    if found is not None or not checkpoints.is_dir():
        return found
    files = sorted((path for path in checkpoints.iterdir() if path.stem.isdigit()), key=lambda path: int(path.stem))
    return next((signature for path in reversed(files) if (signature := _signature(path)) is not None), None)


def _signature(path: Path) -> Signature | None:
    try:
        envelope = open_envelope(path.read_bytes())
    except (OSError, ValueError):
        return None  # `audit verify` reports an unreadable checkpoint
    return Signature(path, frozenset(envelope.signatures)) if envelope.signatures else None


def _is_there(path: Path) -> bool:
    """Whether the file exists, even as a dangling link; UserError where the folder is unreadable."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise UserError("the folder of keys cannot be read", got=error.strerror, where=path.parent) from error
    return True


def _key_files(folder: Path) -> list[Path]:
    return [path for path in (folder / PUBLIC, *kept_keys(folder)) if _is_there(path)]


def _is_successor(key: SSlibKey, chain: SignedChain) -> bool:
    """Whether the chain's last rotation put that key in force."""
    last = chain.last_act(ROTATE)
    return last is not None and last.act.detail.get("key") == key.keyid


def _missing(private: Path, newest: Signature | None) -> UserError:
    name = f" of key {', '.join(sorted(keyid[:16] for keyid in newest.keyids))}" if newest else ""
    return UserError(
        "the signing key is missing, and a new one cannot vouch for existing signatures",
        got=f"no {private.name}",
        wanted=f"the file{name}, restored from a backup; or {LOST}",
        where=private,
    )
