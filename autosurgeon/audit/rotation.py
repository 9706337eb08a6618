"""Rotation of the signing key: an entry of the chain holds a statement that the old and the new key sign.

A crash is safe after each step: the new private key is staged, then the chain gets the entry and the new key is in
force. Its files are put in place afterwards, in the same run or at the next start.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from autosurgeon.audit.keys import (
    ROTATE,
    STAGED,
    ActEntry,
    SignedChain,
    kept_name,
    known_keys,
    load_signer,
    newest_signature,
    recorded_successor,
    write_public,
)
from autosurgeon.audit.signing import (
    PRIVATE,
    PUBLIC,
    generate_signer,
    is_signed,
    key_bytes,
    key_content,
    key_of,
    move_durably,
    open_envelope,
    public_key,
    signed,
    write_durably,
)
from autosurgeon.core.hash_chain import Head
from autosurgeon.core.person import Person, PersonAct
from autosurgeon.core.value import Value
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import UserError
from autosurgeon.failpoints import reach

if TYPE_CHECKING:
    from collections.abc import Callable

    from securesystemslib.signer import CryptoSigner, SSlibKey

PAYLOAD_TYPE = "application/vnd.autosurgeon.key-rotation+json"


class Recorder(SignedChain, Protocol):
    """A chain that accepts acts."""

    def record_act(self, act: Callable[[Head], PersonAct]) -> PersonAct:
        """Add the act built from the chain's head, in one transaction."""


class Unvouched(Value):
    """The entry from which the record relies on a key that the previous key did not sign."""

    seq: int
    key: str
    """The id of the new key."""
    at: str

    @property
    def words(self) -> str:
        """A sentence for reports."""
        return (
            f"from entry {self.seq} on, the record relies on key {self.key[:16]}, which the previous key did "
            f"not sign: the previous private key was lost ({self.at[:19]} UTC)"
        )


class Rotation(NamedTuple):
    """The content of a rotation's statement."""

    head: Head
    """The chain's head before the rotation's own entry."""
    old: SSlibKey | None
    """None where its public half is lost too."""
    old_id: str | None
    new: SSlibKey
    at: str
    lost: bool
    """Whether the old private key was lost, so that only the new one signed."""
    wrong: str
    """Why it is invalid; empty where it is valid."""

    @property
    def unvouched(self) -> Unvouched:
        """The entry from which the record relies on the new key alone."""
        return Unvouched(seq=self.head.size + 1, key=self.new.keyid, at=self.at)


def read_rotation(act: PersonAct) -> Rotation:
    """Read the rotation in an act of the chain; ValueError where it holds none."""
    return _read(json.dumps(act.detail.get("statement")).encode())


def unvouched_in(entries: Iterable[ActEntry]) -> tuple[Unvouched, ...]:
    """Find the rotations whose old key was lost; `audit verify` reports unreadable ones."""
    found = []
    for entry in entries:
        if entry.act.act == ROTATE:
            with contextlib.suppress(ValueError):
                rotation = read_rotation(entry.act)
                found += [rotation.unvouched] if rotation.lost else []
    return tuple(found)


def kept_unvouched(folder: Path) -> tuple[Unvouched, ...]:
    """Find the same rotations by the statements in the folder of keys; the time does not depend on the chain."""
    found = []
    for path in rotation_files(folder):
        try:
            rotation = _read(path.read_bytes())
        except (OSError, ValueError):
            continue  # `audit verify` reads it from the chain
        if rotation.lost:
            found.append(rotation.unvouched)
    return tuple(found)


def rotation_files(folder: Path) -> list[Path]:
    """List the statements in a folder of keys, oldest first."""
    return sorted(folder.glob("rotation-*.json"))


def rotate(
    workspace: Workspace, chain: Recorder, *, who: Person, at: str, reason: str, lost: bool, copies: Path | None = None
) -> Rotation:
    """Create a key and put it in force; the caller holds the workspace's lock and then signs the head.

    Args:
        workspace: the owner of the key.
        chain: gets the entry.
        who: the person who rotates the key.
        at: time, UTC.
        reason: the person's reason.
        lost: the old private key is lost, so that only the new one signs.
        copies: a folder with copies of checkpoints and public keys, searched for a lost public half.

    Raises:
        UserError: there is no key to rotate, `lost` is wrong, or the old key is unusable.

    """
    folder = workspace.keys
    signer = None if lost else old_signer(workspace, chain)
    old, old_id = (signer.public_key, signer.public_key.keyid) if signer else _lost_key(workspace, chain, copies)
    new = generate_signer()
    signers = [signer, new] if signer else [new]
    write_durably(folder / STAGED, new.private_bytes, mode=0o600)
    reach("key-staged")

    def act(head: Head) -> PersonAct:
        content = {
            "size": head.size,
            "head": head.hash,
            "old": key_content(old) if old else None,
            "old_keyid": old_id,
            "new": key_content(new.public_key),
            "at": at,
            "lost": lost,
        }
        statement = signed(content, PAYLOAD_TYPE, *signers)
        detail = {"key": new.public_key.keyid, "old_key": old_id, "lost": lost, "statement": statement}
        return PersonAct(act=ROTATE, who=who, at=at, reason=reason, detail=detail)

    recorded = chain.record_act(act)
    reach("key-recorded")
    return read_rotation(recorded)


def publish_rotation(workspace: Workspace, chain: SignedChain) -> bool:
    """Put the public files of a recorded rotation in place; return whether one was unfinished.

    A staged key that was never recorded is removed. The caller holds the lock, then signs the head, and calls
    `finish_rotation`.
    """
    folder, last = workspace.keys, chain.last_act(ROTATE)
    if recorded_successor(folder, chain) is None or last is None:
        (folder / STAGED).unlink(missing_ok=True)
        return False
    rotation = read_rotation(last.act)
    _keep_public(folder, rotation.old)
    name = f"rotation-{rotation.head.size + 1:08d}.json"
    write_durably(folder / name, (json.dumps(last.act.detail["statement"], indent=1) + "\n").encode())
    reach("key-kept")
    write_public(folder, rotation.new)
    if rotation.lost and (folder / PRIVATE).exists():
        # The file is damaged or belongs to another key; it is set aside for its owner, never overwritten.
        move_durably(folder / PRIVATE, folder / f"{PRIVATE}.set-aside")
    reach("key-published")
    return True


def finish_rotation(workspace: Workspace) -> None:
    """Replace the old private key by the staged one."""
    move_durably(workspace.keys / STAGED, workspace.keys / PRIVATE)
    reach("key-in-place")


def _keep_public(folder: Path, old: SSlibKey | None) -> None:
    """Keep the old key's public half and any other key in place of the new one."""
    keys = [old] if old is not None else []
    if (folder / PUBLIC).exists():
        try:
            keys.append(public_key(folder / PUBLIC))
        except UserError:
            move_durably(folder / PUBLIC, folder / f"{PUBLIC}.damaged")
    for key in keys:
        if not (folder / kept_name(key.keyid)).exists():
            write_durably(folder / kept_name(key.keyid), key_bytes(key))


def old_signer(workspace: Workspace, chain: SignedChain) -> CryptoSigner:
    """Load the key to replace, even if other users can read its file; UserError where it is unusable."""
    signer = load_signer(workspace, chain, any_mode=True)
    if signer is None:
        raise UserError("there is no key to rotate yet", wanted="`autosurgeon run`, which creates the first one")
    return signer


def _lost_key(workspace: Workspace, chain: SignedChain, copies: Path | None) -> tuple[SSlibKey | None, str | None]:
    """Find the public half of a lost key and its id, as far as they are known."""
    try:
        found = load_signer(workspace, chain, any_mode=True)
    except UserError:
        pass
    else:
        if found is None:
            raise UserError("there is no key to rotate yet", wanted="`autosurgeon run`, which creates the first one")
        raise UserError(
            "the signing key is not lost",
            got=f"key {found.public_key.keyid[:16]}, which is in force",
            wanted="`autosurgeon audit rotate-key` without --lost, so that the old key signs too",
            where=workspace.keys / PRIVATE,
        )
    last, newest = chain.last_act(ROTATE), newest_signature(workspace.checkpoints, chain.head().size)
    keys = _readable_keys(copies) | _readable_keys(workspace.keys)
    if last is not None:
        old = read_rotation(last.act).new
        return old, old.keyid
    names = sorted(newest.keyids) if newest else sorted(_readable_keys(workspace.keys))
    return (keys.get(names[0]), names[0]) if names else (None, None)


def _readable_keys(folder: Path | None) -> dict[str, SSlibKey]:
    try:
        return known_keys(folder) if folder is not None and folder.is_dir() else {}
    except UserError:
        return {}  # a damaged key may be the reason for the loss


def _read(raw: bytes) -> Rotation:
    envelope = open_envelope(raw)
    try:
        content: dict[str, Any] = json.loads(envelope.payload)
        head = Head(int(content["size"]), str(content["head"]))
        old = key_of(content["old"]) if content["old"] is not None else None
        new, lost, at, old_id = key_of(content["new"]), content["lost"], str(content["at"]), content["old_keyid"]
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"no statement of a rotation: {error}") from error
    wrong = ""
    if envelope.payload_type != PAYLOAD_TYPE:
        wrong = f"is of type {envelope.payload_type}"
    elif not is_signed(envelope, new):
        wrong = "is not signed by the new key"
    elif lost is not True and (old is None or not is_signed(envelope, old)):
        wrong = "is not signed by the old key"
    elif old is not None and old.keyid != old_id:
        wrong = "names two old keys"
    return Rotation(head, old, old_id, new, at, lost is True, wrong)
