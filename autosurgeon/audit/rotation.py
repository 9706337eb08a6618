"""Rotations: a new signing key in the open, by a statement that the old key signs too, in an entry of the chain.

The order makes each step one that a crash may follow: the new private key is staged, the chain gets the entry, and from
then on the new key is in force; its files come into place after that, now or at the next start.
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
from autosurgeon.core.chain import Head
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
    """A chain that an act can be added to."""

    def record_act(self, act: Callable[[Head], PersonAct]) -> PersonAct:
        """Add the act that is made of the chain's head, in one transaction."""


class Unvouched(Value):
    """From which entry on the record is vouched for by a key that its predecessor did not sign."""

    seq: int
    key: str
    """The id of the key since."""
    at: str

    @property
    def words(self) -> str:
        """As a sentence."""
        return (
            f"from entry {self.seq} on, the record is vouched for by key {self.key[:16]}, which its predecessor did "
            f"not sign: the private key before it was lost ({self.at[:19]} UTC)"
        )


class Rotation(NamedTuple):
    """A rotation as its statement has it."""

    head: Head
    """Where the chain stood; the entry after it is the rotation's own."""
    old: SSlibKey | None
    """None where its public half was lost too."""
    old_id: str | None
    new: SSlibKey
    at: str
    lost: bool
    """Whether the old private key was lost, so that the new one alone has signed."""
    wrong: str
    """Why it is not to be believed; empty where it is."""

    @property
    def unvouched(self) -> Unvouched:
        """Of a rotation whose old key was lost."""
        return Unvouched(seq=self.head.size + 1, key=self.new.keyid, at=self.at)


def read_rotation(act: PersonAct) -> Rotation:
    """The rotation that an act of the chain holds; ValueError where it holds none."""
    return _read(json.dumps(act.detail.get("statement")).encode())


def unvouched_in(entries: Iterable[ActEntry]) -> tuple[Unvouched, ...]:
    """Of the acts of a chain, the rotations whose old key was lost; `audit verify` names one that cannot be read."""
    found = []
    for entry in entries:
        if entry.act.act == ROTATE:
            with contextlib.suppress(ValueError):
                rotation = read_rotation(entry.act)
                found += [rotation.unvouched] if rotation.lost else []
    return tuple(found)


def kept_unvouched(folder: Path) -> tuple[Unvouched, ...]:
    """The same, by the statements in the folder of keys: as quick in a chain of millions as in a short one."""
    found = []
    for path in rotation_files(folder):
        try:
            rotation = _read(path.read_bytes())
        except (OSError, ValueError):
            continue  # the chain has it, and `audit verify` reads it there
        if rotation.lost:
            found.append(rotation.unvouched)
    return tuple(found)


def rotation_files(folder: Path) -> list[Path]:
    """The statements in a folder of keys, oldest first."""
    return sorted(folder.glob("rotation-*.json"))


def rotate(
    workspace: Workspace, chain: Recorder, *, who: Person, at: str, reason: str, lost: bool, copies: Path | None = None
) -> Rotation:
    """Make a new key and put it in force; the caller holds the workspace's lock, and signs the head by it then.

    Args:
        workspace: whose key it is.
        chain: gets the entry.
        who: the person.
        at: when, UTC.
        reason: why.
        lost: the old private key is lost, so that the new one signs alone.
        copies: a folder with copies of checkpoints and public keys, where a lost public half may be found.

    Raises:
        UserError: there is nothing to rotate, `lost` is not so, or the old key cannot be used.

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
    """Bring the public files of a recorded rotation into place; whether one was left to be finished.

    What was staged and never recorded is removed. The caller holds the lock, signs the head then, and calls
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
        # Damaged or of another pair, and for its owner to look at; it is never overwritten.
        move_durably(folder / PRIVATE, folder / f"{PRIVATE}.set-aside")
    reach("key-published")
    return True


def finish_rotation(workspace: Workspace) -> None:
    """Put the staged private key in place of the old one, which is gone then."""
    move_durably(workspace.keys / STAGED, workspace.keys / PRIVATE)
    reach("key-in-place")


def _keep_public(folder: Path, old: SSlibKey | None) -> None:
    """Keep the old key's public half, and whatever else stands in the place of the new one."""
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
    """The key that a rotation is to replace, be its file readable by others; UserError where it cannot be used."""
    signer = load_signer(workspace, chain, any_mode=True)
    if signer is None:
        raise UserError("there is no key to rotate yet", wanted="`autosurgeon run`, which makes the first one")
    return signer


def _lost_key(workspace: Workspace, chain: SignedChain, copies: Path | None) -> tuple[SSlibKey | None, str | None]:
    """The public half of a key whose private half is lost, as far as it is known, and its id."""
    try:
        found = load_signer(workspace, chain, any_mode=True)
    except UserError:
        pass
    else:
        if found is None:
            raise UserError("there is no key to rotate yet", wanted="`autosurgeon run`, which makes the first one")
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
        return {}  # the damaged one may be why the key is lost


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
