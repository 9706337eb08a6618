"""Checks of the signing keys: the key in force at each point of the chain, by its rotations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from autosurgeon.audit.chainchecks import RESTORE, Check
from autosurgeon.audit.checkpoints import Checkpoint, signature_fault
from autosurgeon.audit.keys import LOST, ROTATE, STAGED, known_keys
from autosurgeon.audit.rotation import Rotation, Unvouched, read_rotation
from autosurgeon.audit.signing import PUBLIC, key_content
from autosurgeon.core.hash_chain import Event, Head
from autosurgeon.core.person import KIND, PersonAct

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey


class KeyFolder(NamedTuple):
    """The public keys in a workspace's folder."""

    known: Mapping[str, SSlibKey]
    """Keys by id."""
    current: SSlibKey | None
    """The key in `public.json`."""
    has_staged: bool
    """Whether a rotation was interrupted, so that the old key's files may still be in place."""


def read_folder(folder: Path) -> KeyFolder:
    """Read the folder's public keys; UserError for a damaged one."""
    known = known_keys(folder)
    current = next(iter(known.values())) if (folder / PUBLIC).is_file() else None
    return KeyFolder(known, current, (folder / STAGED).exists())


class KeysCheck(Check):
    """Checks each rotation against the previous key, and tracks the key in force."""

    source = "keys"

    def __init__(self, folder: KeyFolder, first: Rotation | None) -> None:
        """Start with the first key: the old key of the first rotation, or the folder's key without any rotation."""
        self._folder = folder
        self.key = folder.current if first is None else first.old or folder.known.get(first.old_id or "")
        self._key_id = (self.key.keyid if self.key else None) if first is None else first.old_id
        self._last: Rotation | None = None
        self.unvouched: list[Unvouched] = []

    def step(self, event: Event) -> None:
        """Process the next event."""
        if event.kind != KIND or event.subject != ROTATE:
            return
        try:
            rotation = read_rotation(PersonAct.model_validate(json.loads(event.payload)))
        except ValueError as error:
            what = "a rotation of the signing key cannot be read"
            self.find(event.seq, what, got=str(error), wanted="a signed statement", subject=event.subject)
            return
        if rotation.wrong:
            self._forged(event, rotation.wrong)
        elif rotation.head != (event.seq - 1, event.previous):
            self._forged(event, f"names entry {rotation.head.size} as the one before it")
        elif self._key_id is not None and rotation.old_id != self._key_id:
            self._forged(event, f"replaces key {str(rotation.old_id)[:16]}, not the key in force then")
        else:
            self.key, self._key_id, self._last = rotation.new, rotation.new.keyid, rotation
            if rotation.lost:
                self.unvouched.append(rotation.unvouched)

    def end(self, head: Head, signed: int) -> None:
        """Check that the folder's key is the one in force at the end."""
        current, last = self._folder.current, self._last
        if current is None or last is None or key_content(current) == key_content(last.new):
            return
        if self._folder.has_staged and current.keyid == last.old_id:
            return  # a crash interrupted the rotation; the next run or rotation puts the files in place
        what = f"{PUBLIC} is not the key that the chain's last rotation put in force"
        wanted = f"key {last.new.keyid[:16]}"
        todo = f"restore the key from a backup; or {LOST}"
        self.find(last.head.size + 1, what, got=f"key {current.keyid[:16]}", wanted=wanted, subject=ROTATE, todo=todo)

    def fault_of(self, checkpoint: Checkpoint) -> str:
        """Return why a checkpoint at the current entry is invalid; empty where it is valid."""
        return signature_fault(checkpoint, self.key)

    def _forged(self, event: Event, got: str) -> None:
        what = "a rotation of the signing key is invalid"
        self.find(event.seq, what, got=got, wanted="the old key's signature", subject=event.subject, todo=RESTORE)


class ExternalKeys:
    """The keys next to an external checkpoint, since the workspace's own may have been replaced."""

    def __init__(self, external: Mapping[str, SSlibKey], own: KeysCheck) -> None:
        self._external = external
        self._own = own

    def fault_of(self, checkpoint: Checkpoint) -> str:
        """Return why a checkpoint is invalid under the keys next to it and the workspace's key of its time."""
        if checkpoint.wrong or checkpoint.envelope is None or not self._external:
            return self._own.fault_of(checkpoint)
        keys = [self._external[keyid] for keyid in checkpoint.envelope.signatures if keyid in self._external]
        if not keys or signature_fault(checkpoint, keys[0]):
            return "is not signed by a key next to it"
        own = self._own.key
        if own is not None and key_content(own) != key_content(keys[0]):
            return "was not signed by the workspace's key of that time: the key was replaced"
        return ""
