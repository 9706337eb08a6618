"""`autosurgeon audit rotate-key`: a recorded change of the signing key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autosurgeon.cli.options import ReasonOption, WorkspaceOption


def rotate_key(
    reason: ReasonOption = "",
    lost: Annotated[
        bool,
        typer.Option("--lost", help="The old private key is lost: only the new one signs. Needs --reason."),
    ] = False,
    workspace: WorkspaceOption = Path("."),
) -> None:
    """Put a new signing key in force: the old key signs it, the chain records it, and old checkpoints stay valid.

    Refused while a loop runs on the workspace. If the old private key is lost, --lost creates a key that it did not
    sign; `audit verify`, `audit log --people` and reports then name the entry at which that happened.
    """
    from autosurgeon.cli.render import say
    from autosurgeon.core.person import current_person
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.errors import UserError
    from autosurgeon.loop.keys import rotate_key as rotate
    from autosurgeon.wiring import hold_workspace, settings_of

    if lost and not reason.strip():
        raise UserError("a key that the old key does not sign needs a reason", wanted="--reason TEXT")
    place, copies = Workspace(workspace.resolve()), settings_of(workspace).audit.checkpoint_copy
    with hold_workspace(workspace) as store, store.sole_loop():
        made = rotate(place, store, copies, say, who=current_person(), reason=reason.strip(), lost=lost)
    say(f"key {made.new.keyid[:16]} replaces {_old(made.old_id)} from entry {made.head.size + 1} on")
    if lost:
        say(made.unvouched.words)


def _old(keyid: str | None) -> str:
    return f"key {keyid[:16]}" if keyid else "an unknown key"
