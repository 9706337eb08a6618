"""Failpoints: named places in the real code path where a test lets the world fail.

`AUTOSURGEON_FAIL=name:kill|eio|enospc|hang[:n]` arms one of them for its n-th passage, the first when n is left out.
Without that variable a passage is one comparison.
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
    "base-staged": "a base checkpoint is copied, and not yet a pack",
    "pack-files-flushed": "a pack's files are on the disk, its manifest is not",
    "pack-manifest-written": "a pack's manifest is on the disk, its folder has no name yet",
    "pack-renamed": "a pack stands under its digest, and was not read back",
    "pack-verified": "a pack was read back, and the store does not know it",
    "pack-set-aside": "a damaged pack has made way for a good one",
    "weights-in-trash": "weights that nothing keeps are out of sight, and still on the disk",
    "live-file-staged": "live.json is written beside itself, and not renamed",
    "live-file-renamed": "live.json says the new version",
    "theatre-swept": "what a crash left is removed, no pack is read back",
    "packs-checked": "the packs were read back, the projections are old",
    "run-begun": "the store knows of the run, and no pass was looked for",
    "pass-proposed": "a recipe is chosen, and not written down",
    "pass-begun": "the pass is written down, and nothing has acted on it",
    "stage-begun": "a stage is about to work",
    "stage-worked": "a stage has its output, and the store does not",
    "stage-committed": "the store has a stage's output, and nobody has used it",
    "look-paid": "alpha was spent, and nothing was looked at",
    "judged": "a verdict is known, and not written down",
    "decided": "a decision is in the store, no projection has it",
    "pass-moved": "a pass changed its state without a decision",
    "transaction-written": "a transaction is complete, and not committed",
    "transaction-committed": "a transaction is committed, and its writer does not know",
    "decisions-appended": "decisions are in their log, and not flushed",
    "events-appended": "events are in their log, and not flushed",
    "checkpoint-signed": "a checkpoint is signed, and not on the disk",
    "key-staged": "a new signing key is on the disk, and the chain does not have its rotation",
    "key-recorded": "the chain has a rotation, and every key file is the old one",
    "key-kept": "the old public key is kept, and public.json is still the old one",
    "key-published": "public.json is the new key, private.pem the old one",
    "key-in-place": "both halves of a new key are in place",
    "checkpoint-written": "a checkpoint is on the disk, its copy is not",
    "projections-rebuilt": "every projection agrees with the store",
    "deploy-begun": "a deployment is recorded, and no command has started",
    "deploy-run": "a deploy command has run, and the store does not have its result",
    "deploy-done": "the runtime serves a new pack, and live is not moved",
    "deploy-failed": "the runtime did not take a new pack, and does not have the command for the old one",
    "watch-fallen": "a live pack has to go, and its successor is not named",
    "report-written": "a pass's report is written, and its end is not notified",
    "pass-ended": "a pass is over, and the run has not counted it",
    "pass-counted": "the run has counted a pass",
    "run-ended": "the run's end is written down, the projections are old",
    "ballast-released": "the disk is full, the ballast is gone, and no pause is noted",
    "pause-noted": "a pause is written down",
    "capsule-started": "a capsule runs, and nobody watches it yet",
    "capsule-ended": "a capsule is gone, and its outcome was not read",
    "training-checkpoint-saved": "an adapter is saved on the way, and no state names it",
    "training-state-staged": "training's tensors are on the disk, and nothing names them",
    "training-state-written": "training's state is on the disk, and the one before it too",
}


class _Armed(NamedTuple):
    """What shall happen, where, and at which passage."""

    name: str
    action: str
    number: int


ACTIONS = ("kill", "eio", "enospc", "hang")
_ERRORS = {"eio": errno.EIO, "enospc": errno.ENOSPC}


def parse(text: str) -> _Armed:
    """A failpoint as the variable names it; UserError for any other text: a test that arms nothing proves nothing."""
    name, _, rest = text.partition(":")
    action, _, number = rest.partition(":")
    if name not in FAILPOINTS:
        raise UserError("there is no such failpoint", got=name, wanted=nearest(name, FAILPOINTS), where=VARIABLE)
    if action not in ACTIONS:
        raise UserError("a failpoint has no such action", got=action, wanted=" or ".join(ACTIONS), where=VARIABLE)
    if number and not (number.isascii() and number.isdigit() and int(number) > 0):
        raise UserError("a failpoint's passage is a number from 1 on", got=number, where=VARIABLE)
    return _Armed(name, action, int(number or 1))


_armed: _Armed | None = None
_passages = 0


def arm(text: str | None) -> None:
    """Arm the failpoint that the text names, or none."""
    global _armed, _passages
    _armed, _passages = parse(text) if text else None, 0


def reach(name: str) -> None:
    """Pass a failpoint; where it is armed and this is the passage, the world fails here."""
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
