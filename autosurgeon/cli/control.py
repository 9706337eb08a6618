"""`autosurgeon stop`, `pause` and `resume`: requests to a running loop from another terminal.

The request is a small file that the loop reads, so that it works without the database. The act is then added to the
record; a line on standard error reports a failure.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from autosurgeon.cli.options import ReasonOption, WorkspaceOption

if TYPE_CHECKING:
    from autosurgeon.core.person import Act
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.store.lock import Holder


def stop(reason: ReasonOption = "", workspace: WorkspaceOption = Path(".")) -> None:
    """End the workspace's run after the running stage; the next `run` continues from there."""
    from autosurgeon.cli.render import say
    from autosurgeon.core.person import current_person
    from autosurgeon.errors import AutosurgeonError, WorkspaceError
    from autosurgeon.loop.engine.stop_requests import ask

    place, loop = _place_and_loop(workspace)
    if loop is None:
        raise WorkspaceError("no loop runs on this workspace, so there is none to stop", where=place.root)
    try:
        ask(place, "stop", current_person().name, loop)
    except (OSError, AutosurgeonError):
        # The disk takes no file, such as one remounted read-only after an error; the signal is a request too.
        os.kill(loop.pid, signal.SIGTERM)
    say(f"process {loop.pid} stops after the running stage")
    _record(workspace, "stop", reason)


def pause(reason: ReasonOption = "", workspace: WorkspaceOption = Path(".")) -> None:
    """Pause the run after the running stage, or the next run if none is running; `resume` continues it."""
    from autosurgeon.cli.render import say
    from autosurgeon.core.person import current_person
    from autosurgeon.loop.engine.stop_requests import ask

    place, loop = _place_and_loop(workspace)
    ask(place, "pause", current_person().name, loop)
    effect = f"process {loop.pid} pauses after the running stage" if loop else "no loop is running; the next one waits"
    say(f"{effect}; `autosurgeon resume` continues it")
    _record(workspace, "pause", reason)


def resume(reason: ReasonOption = "", workspace: WorkspaceOption = Path(".")) -> None:
    """Continue a paused run. A run that waits for disk space continues automatically."""
    from autosurgeon.cli.render import say
    from autosurgeon.core.person import current_person
    from autosurgeon.loop.engine.stop_requests import ask, asked, paused

    place, loop = _place_and_loop(workspace)
    request, waiting = asked(place), paused(place)
    if request is not None and request.word == "pause":
        ask(place, "run", current_person().name, loop)
        say(f"process {loop.pid} continues" if loop else "the pause is over; `autosurgeon run` continues")
        _record(workspace, "resume", reason)
    elif waiting is not None and waiting.reason == "disk":
        say("the run waits for disk space, not for `resume`; free some space and it continues")
    else:
        say("nothing is paused in this workspace")


def _place_and_loop(root: Path) -> tuple[Workspace, Holder | None]:
    """Find an existing workspace, even if its database cannot be opened, and the process of its loop."""
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.store.lock import holder_of
    from autosurgeon.store.place import refuse_read_only
    from autosurgeon.wiring import open_store

    place = Workspace(root.resolve())
    if not any(path.is_file() for path in (place.database, place.lock, place.events)):
        with open_store(root):  # which refuses a folder that is not a workspace
            pass
    loop = holder_of(place.lock)
    if loop is None:
        refuse_read_only(place)
    return place, loop


def _record(root: Path, act: Act, reason: str) -> None:
    """Add the act to the chain; report on standard error where that fails."""
    from autosurgeon.cli.acts import own_act, try_to_record, warn_unrecorded
    from autosurgeon.errors import AutosurgeonError
    from autosurgeon.wiring import open_store

    try:
        with open_store(root, writes=True) as store:
            missing = try_to_record(store, own_act(act, reason))
    except (OSError, AutosurgeonError) as error:
        missing = str(error)
    warn_unrecorded(missing)
