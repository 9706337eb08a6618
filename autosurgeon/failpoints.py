"""Failpoints: named places in the code at which a test causes an external failure.

`AUTOSURGEON_FAIL=name:kill|eio|enospc|hang[:n]` arms one for its n-th passage, by default the first. Without that
variable, a passage costs one comparison.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from typing import NamedTuple

from autosurgeon.errors import UserError, nearest

VARIABLE = "AUTOSURGEON_FAIL"

FAILPOINTS: dict[str, str] = {
    "base-staged": "a base checkpoint is copied, but is not a pack yet",
    "pack-files-flushed": "a pack's files are on the disk, but its manifest is not",
    "pack-manifest-written": "a pack's manifest is on the disk, but its folder has no name yet",
    "pack-renamed": "a pack has its digest as name, but is not verified",
    "pack-verified": "a pack is verified, but is not in the store",
    "pack-set-aside": "a damaged pack is moved aside for a good one",
    "weights-in-trash": "unkept weights are in the trash, but still on the disk",
    "live-file-staged": "the new live.json is written, but not renamed",
    "live-file-renamed": "live.json holds the new version",
    "theatre-swept": "leftovers of a crash are removed, but no pack is verified",
    "packs-checked": "the packs are verified, but the projections are old",
    "run-begun": "the run is in the store, but no pass is looked up",
    "pass-proposed": "a recipe is chosen, but not recorded",
    "pass-begun": "the pass is recorded, but not started",
    "stage-begun": "a stage is about to start",
    "stage-worked": "a stage has its output, but the store does not",
    "stage-committed": "the store has a stage's output, but it is unused",
    "look-paid": "alpha is spent, but no look is taken",
    "judged": "a verdict is known, but not recorded",
    "decided": "a decision is in the store, but in no projection",
    "pass-moved": "a pass changed its state without a decision",
    "transaction-written": "a transaction is complete, but not committed",
    "transaction-committed": "a transaction is committed, but its writer has no confirmation",
    "decisions-appended": "decisions are in their log, but not flushed",
    "events-appended": "events are in their log, but not flushed",
    "checkpoint-signed": "a checkpoint is signed, but not on the disk",
    "key-staged": "a new signing key is on the disk, but its rotation is not in the chain",
    "key-recorded": "the chain has a rotation, but all key files are old",
    "key-kept": "the old public key is kept, but public.json is old",
    "key-published": "public.json is the new key, but private.pem is old",
    "key-in-place": "both halves of a new key are in place",
    "checkpoint-written": "a checkpoint is on the disk, but its copy is not",
    "projections-rebuilt": "every projection agrees with the store",
    "deploy-begun": "a deployment is recorded, but no command has started",
    "deploy-run": "a deploy command has run, but its result is not in the store",
    "deploy-done": "the runtime serves a new pack, but live is unchanged",
    "deploy-failed": "the runtime refused a new pack, and the command for the old one has not run",
    "watch-fallen": "a live pack is to be reverted, but its successor is not chosen",
    "report-written": "a pass's report is written, but its end is not notified",
    "pass-ended": "a pass has ended, but the run has not counted it",
    "pass-counted": "the run has counted a pass",
    "run-ended": "the run's end is recorded, but the projections are old",
    "ballast-released": "the disk is full and the ballast deleted, but no pause is recorded",
    "pause-noted": "a pause is recorded",
    "capsule-started": "a capsule runs, but is not watched yet",
    "capsule-ended": "a capsule has ended, but its outcome is not read",
    "training-checkpoint-saved": "an adapter is saved during training, but no state names it",
    "training-state-staged": "training's tensors are on the disk, but no state names them",
    "training-state-written": "training's state and the previous one are on the disk",
}


class _Armed(NamedTuple):
    """The action of an armed failpoint, and its passage."""

    name: str
    action: str
    number: int


ACTIONS = ("kill", "eio", "enospc", "hang")
_ERRORS = {"eio": errno.EIO, "enospc": errno.ENOSPC}


def parse(text: str) -> _Armed:
    """Parse the variable; UserError for invalid text, since a test that arms nothing proves nothing."""
    name, _, rest = text.partition(":")
    action, _, number = rest.partition(":")
    if name not in FAILPOINTS:
        raise UserError("there is no such failpoint", got=name, wanted=nearest(name, FAILPOINTS), where=VARIABLE)
    if action not in ACTIONS:
        raise UserError("a failpoint has no such action", got=action, wanted=" or ".join(ACTIONS), where=VARIABLE)
    if number and not (number.isascii() and number.isdigit() and int(number) > 0):
        raise UserError("a failpoint's passage is a number of at least 1", got=number, where=VARIABLE)
    return _Armed(name, action, int(number or 1))


_armed: _Armed | None = None
_passages = 0


def arm(text: str | None) -> None:
    """Arm the failpoint in the text; None disarms."""
    global _armed, _passages
    _armed, _passages = parse(text) if text else None, 0


def reach(name: str) -> None:
    """Pass a failpoint; at its armed passage, cause the failure."""
    if _armed is None or _armed.name != name:
        return
    global _passages
    _passages += 1
    if _passages != _armed.number:
        return
    if _armed.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    while _armed.action == "hang":
        time.sleep(1)
    raise OSError(_ERRORS[_armed.action], f"{os.strerror(_ERRORS[_armed.action])} (failpoint {name})")
