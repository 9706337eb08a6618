"""The signing key: ready before a run, and rotated by a person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from autosurgeon.audit.keys import load_signer
from autosurgeon.audit.rotation import Rotation, finish_rotation, old_signer, publish_rotation, rotate
from autosurgeon.core.person import Person
from autosurgeon.core.workspace import Workspace
from autosurgeon.loop.decide.settle import write_record
from autosurgeon.store.database import utc_now
from autosurgeon.store.sqlstore import SqlStore


def ready_key(workspace: Workspace, store: SqlStore, copies: Path | None, say: Callable[[str], None]) -> None:
    """Finish an interrupted rotation, and check that the key in force can sign; under the workspace's lock.

    A workspace without signatures needs no key: its first checkpoint creates one.

    Raises:
        UserError: the key is gone, damaged, readable by others, or another than the one in force.

    """
    _complete_rotation(workspace, store, copies, say)
    load_signer(workspace, store)


def rotate_key(
    workspace: Workspace,
    store: SqlStore,
    copies: Path | None,
    say: Callable[[str], None],
    *,
    who: Person,
    reason: str,
    lost: bool,
) -> Rotation:
    """Put a new signing key in force, with an act in the chain; under the workspace's lock.

    Args:
        workspace: the workspace.
        store: its memory.
        copies: the folder for copies of checkpoints.
        say: called with lines about failures.
        who: the person.
        reason: the reason.
        lost: whether the old private key is lost; otherwise it signs the whole chain once more.

    Raises:
        UserError: there is no key to rotate, the old one cannot be used, or `lost` is wrong.

    """
    _complete_rotation(workspace, store, copies, say)
    if not lost:
        write_record(workspace, store, copies, say, old_signer(workspace, store))
    rotation = rotate(workspace, store, who=who, at=utc_now(), reason=reason, lost=lost, copies=copies)
    _complete_rotation(workspace, store, copies, say)
    return rotation


def _complete_rotation(workspace: Workspace, store: SqlStore, copies: Path | None, say: Callable[[str], None]) -> None:
    if publish_rotation(workspace, store):
        write_record(workspace, store, copies, say)
        finish_rotation(workspace)
