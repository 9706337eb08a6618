"""Which key signs: loaded where something was signed before, made only where nothing ever was.

The folder holds `private.pem` and `public.json`, the public halves of earlier keys as `public-KEYID.json`, and what a
rotation leaves (see `rotation`). A key that is lost is replaced by a person's act alone, never by itself.
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
from autosurgeon.core.chain import Head
from autosurgeon.core.person import PersonAct
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import UserError

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

STAGED = "next.pem"
"""The key that a rotation is about to put in place; it counts once the chain has that rotation."""
ROTATE = "rotate-key"
PROBED = 4096
"""Entries before the head at which a checkpoint is looked for by name, before the folder is listed."""
LOST = "`autosurgeon audit rotate-key --lost --reason R` makes a new key in the open"


class ActEntry(Protocol):
    """An act of a person, in the chain."""

    @property
    def seq(self) -> int | None:
        """Its number."""

    @property
    def act(self) -> PersonAct:
        """What was done."""


class SignedChain(Protocol):
    """What the store knows of the chain that is signed."""

    def head(self) -> Head:
        """Its length and last hash."""

    def last_act(self, act: str) -> ActEntry | None:
        """The newest act of that name."""

    def is_past_first_decision(self) -> bool:
        """Whether it has more than one decision: the first one's checkpoint was written then."""


class Signature(NamedTuple):
    """Which keys signed a checkpoint, by what the file names; not verified."""

    path: Path
    keyids: frozenset[str]


def signer_for(workspace: Workspace, chain: SignedChain) -> CryptoSigner:
    """The workspace's signer; its key is made where nothing was signed yet.

    Raises:
        UserError: the key is gone, damaged, readable by others, or another than the one in force.

    """
    return load_signer(workspace, chain) or make_key(workspace.keys)


def make_key(folder: Path) -> CryptoSigner:
    """A new key in an empty folder, readable by its owner alone."""
    signer = generate_signer()
    # The private half first: the public one can be derived from it after a crash between the two.
    write_durably(folder / PRIVATE, signer.private_bytes, mode=0o600)
    write_durably(folder / PUBLIC, key_bytes(signer.public_key))
    return signer


def load_signer(workspace: Workspace, chain: SignedChain, *, any_mode: bool = False) -> CryptoSigner | None:
    """The signer in force; None where nothing was ever signed, so that a key may be made.

    A missing public half is derived again from the private one, if that is the key in force.

    Args:
        workspace: whose key it is.
        chain: its chain of events.
        any_mode: take a private key too that other users may read.

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
            "the signing key's files are halves of two pairs",
            got=f"{PRIVATE} of key {key.keyid[:16]}, {PUBLIC} of key {known.keyid[:16]}",
            wanted=f"both of one pair, from a backup ({fits} fits the newest checkpoint); or {LOST}",
            where=folder,
        )
    if not is_in_force:
        assert newest is not None  # it named another key
        named = ", ".join(sorted(keyid[:16] for keyid in newest.keyids))
        raise UserError(
            "the signing key is not the one that the newest checkpoint is signed with",
            got=f"key {key.keyid[:16]}",
            wanted=f"key {named} of {newest.path.name}, put back from a backup; or {LOST}",
            where=private,
        )
    if known is None:
        write_public(folder, key)
    return signer


def write_public(folder: Path, key: SSlibKey) -> None:
    """Put the public half in its place; UserError where the folder cannot be written."""
    try:
        write_durably(folder / PUBLIC, key_bytes(key))
    except OSError as error:
        raise UserError("the public key cannot be written", got=error.strerror, where=folder / PUBLIC) from error


def recorded_successor(folder: Path, chain: SignedChain) -> CryptoSigner | None:
    """The key of a rotation that the chain has and that a crash kept from being put in place; None where none is."""
    if not _is_there(folder / STAGED):
        return None
    try:
        staged = private_signer(folder / STAGED)
    except UserError:
        return None  # written before the chain has it, so what is cut short here was never recorded
    return staged if _is_successor(staged.public_key, chain) else None


def known_keys(folder: Path) -> dict[str, SSlibKey]:
    """Every public key of a folder by its id: the one in force, and those before it; UserError for a damaged one."""
    keys = [public_key(path) for path in _key_files(folder)]
    return {key.keyid: key for key in keys}


def kept_keys(folder: Path) -> list[Path]:
    """The files of the public keys that are in force no more."""
    return sorted(folder.glob("public-*.json"))


def kept_name(keyid: str) -> str:
    """The file of a public key that is in force no more."""
    return f"public-{keyid[:16]}.json"


def newest_signature(checkpoints: Path, size: int) -> Signature | None:
    """Who signed the newest checkpoint that can be read, up to a length of the chain; None where there is none."""
    probed = (checkpoints / f"{number:08d}.json" for number in range(size, max(0, size - PROBED), -1))
    # A long campaign has hundreds of thousands; the newest is nearly always a few entries back.
    found = next((signature for path in probed if (signature := _signature(path)) is not None), None)
    if found is not None or not checkpoints.is_dir():
        return found
    files = sorted((path for path in checkpoints.iterdir() if path.stem.isdigit()), key=lambda path: int(path.stem))
    return next((signature for path in reversed(files) if (signature := _signature(path)) is not None), None)


def _signature(path: Path) -> Signature | None:
    try:
        envelope = open_envelope(path.read_bytes())
    except (OSError, ValueError):
        return None  # `audit verify` names a checkpoint that cannot be read
    return Signature(path, frozenset(envelope.signatures)) if envelope.signatures else None


def _is_there(path: Path) -> bool:
    """Whether a file of that name is there, be it a link to nothing; UserError where the folder keeps that secret."""
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
    """Whether the chain's last rotation names that key as the one in force since."""
    last = chain.last_act(ROTATE)
    return last is not None and last.act.detail.get("key") == key.keyid


def _missing(private: Path, newest: Signature | None) -> UserError:
    name = f" of key {', '.join(sorted(keyid[:16] for keyid in newest.keyids))}" if newest else ""
    return UserError(
        "the signing key is gone, and a new one would vouch for nothing that is signed already",
        got=f"no {private.name}",
        wanted=f"the file{name}, put back from a backup; or {LOST}",
        where=private,
    )
