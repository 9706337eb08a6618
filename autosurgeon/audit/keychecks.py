"""The keys that signed, each in its span of the chain: from the first key on, by the rotations that the chain has."""

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
from autosurgeon.core.chain import Event, Head
from autosurgeon.core.person import KIND, PersonAct

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey


class KeyFolder(NamedTuple):
    """The public keys of a workspace as they lie in its folder."""

    known: Mapping[str, SSlibKey]
    """By id."""
    current: SSlibKey | None
    """The one of `public.json`."""
    has_staged: bool
    """Whether a rotation was cut short, so that files of the old key may still be in place."""


def read_folder(folder: Path) -> KeyFolder:
    """The folder's public keys; UserError for a damaged one."""
    known = known_keys(folder)
    current = next(iter(known.values())) if (folder / PUBLIC).is_file() else None
    return KeyFolder(known, current, (folder / STAGED).exists())


class KeysCheck(Check):
    """Each rotation against the key before it; in between it knows the key of the time."""

    source = "keys"

    def __init__(self, folder: KeyFolder, first: Rotation | None) -> None:
        """Begin with the first key: the old one of the first rotation, or the folder's where there is none."""
        self._folder = folder
        self.key = folder.current if first is None else first.old or folder.known.get(first.old_id or "")
        self._key_id = (self.key.keyid if self.key else None) if first is None else first.old_id
        self._last: Rotation | None = None
        self.unvouched: list[Unvouched] = []

    def step(self, event: Event) -> None:
        """Take the next event."""
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
            self._forged(event, f"follows on key {str(rotation.old_id)[:16]}, not on the key of its time")
        else:
            self.key, self._key_id, self._last = rotation.new, rotation.new.keyid, rotation
            if rotation.lost:
                self.unvouched.append(rotation.unvouched)

    def end(self, head: Head, signed: int) -> None:
        """Take note that there are no more: the folder's key has to be the one in force."""
        current, last = self._folder.current, self._last
        if current is None or last is None or key_content(current) == key_content(last.new):
            return
        if self._folder.has_staged and current.keyid == last.old_id:
            return  # a crash cut the rotation short; the next run or rotation puts the files in place
        what = f"{PUBLIC} is another key than the last rotation of the chain put in force"
        wanted = f"key {last.new.keyid[:16]}"
        todo = f"put the key back from a backup; or {LOST}"
        self.find(last.head.size + 1, what, got=f"key {current.keyid[:16]}", wanted=wanted, subject=ROTATE, todo=todo)

    def fault_of(self, checkpoint: Checkpoint) -> str:
        """Why a checkpoint of this moment of the walk is not to be believed."""
        return signature_fault(checkpoint, self.key)

    def _forged(self, event: Event, got: str) -> None:
        what = "a rotation of the signing key cannot be believed"
        self.find(event.seq, what, got=got, wanted="the old key's signature", subject=event.subject, todo=RESTORE)


class ExternalKeys:
    """The keys beside a checkpoint from elsewhere: the workspace's own may have been replaced since."""

    def __init__(self, beside: Mapping[str, SSlibKey], own: KeysCheck) -> None:
        self._beside = beside
        self._own = own

    def fault_of(self, checkpoint: Checkpoint) -> str:
        """Why a checkpoint is not to be believed, by the keys beside it and by the workspace's key of its time."""
        if checkpoint.wrong or checkpoint.envelope is None or not self._beside:
            return self._own.fault_of(checkpoint)
        keys = [self._beside[keyid] for keyid in checkpoint.envelope.signatures if keyid in self._beside]
        if not keys or signature_fault(checkpoint, keys[0]):
            return "is not signed by a key beside it"
        own = self._own.key
        if own is not None and key_content(own) != key_content(keys[0]):
            return "was signed by another key than the workspace has for that time: the key was replaced"
        return ""
