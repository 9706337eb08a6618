"""`autosurgeon stop`, `pause` and `resume`: a request to the loop that works on a workspace, from another terminal.

The request itself is a small file that the loop reads, so that it works while the database is away; the act is then
added to the record, and a line states where that is not possible.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from autosurgeon.cli.options import ReasonOption, WorkspaceOption

if TYPE_CHECKING:
    from autosurgeon.core.person import Act
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.store.lock import Holder


def stop(reason: ReasonOption = "", workspace: WorkspaceOption = Path(".")) -> None:
    """End the run that works on the workspace after its running stage; the next `run` goes on from there."""
    from autosurgeon.cli.render import say
    from autosurgeon.core.person import current_person
    from autosurgeon.errors import AutosurgeonError, WorkspaceError
    from autosurgeon.loop.engine.run_control import ask

    place, loop = _at_work(workspace)
    if loop is None:
        raise WorkspaceError("no loop works on this workspace, so there is none to stop", where=place.root)
    try:
        ask(place, "stop", current_person().name, loop)
    except (OSError, AutosurgeonError):
        # A disk that takes no file, as one that was mounted read-only after an error; the loop takes this as a request.
        os.kill(loop.pid, signal.SIGTERM)
    say(f"process {loop.pid} stops after the running stage")
    _record(workspace, "stop", reason)


def pause(reason: ReasonOption = "", workspace: WorkspaceOption = Path(".")) -> None:
    """Let the run wait after its running stage; where none is at work, the next one waits. `resume` lets it go on."""
    from autosurgeon.cli.render import say
    from autosurgeon.core.person import current_person
    from autosurgeon.loop.engine.run_control import ask

    place, loop = _at_work(workspace)
    ask(place, "pause", current_person().name, loop)
    who = f"process {loop.pid} waits after the running stage" if loop else "no loop is at work; the next one waits"
    say(f"{who}; `autosurgeon resume` lets it go on")
    _record(workspace, "pause", reason)


def resume(reason: ReasonOption = "", workspace: WorkspaceOption = Path(".")) -> None:
    """Let a paused run go on. A run that waits for space on the disk goes on by itself."""
    from autosurgeon.cli.render import say
    from autosurgeon.core.person import current_person
    from autosurgeon.loop.engine.run_control import ask, asked, paused

    place, loop = _at_work(workspace)
    word, waiting = asked(place), paused(place)
    if word is not None and word.word == "pause":
        ask(place, "run", current_person().name, loop)
        say(f"process {loop.pid} goes on" if loop else "the pause is over; `autosurgeon run` goes on")
        _record(workspace, "resume", reason)
    elif waiting is not None and waiting.reason == "disk":
        say("the run waits for space on the disk, not for a request; free some and it goes on")
    else:
        say("nothing is paused here")


def _at_work(root: Path) -> tuple[Workspace, Holder | None]:
    """A workspace that exists, whether its database can be opened or not, and the process that works on it."""
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.store.lock import holder_of
    from autosurgeon.store.place import refuse_read_only
    from autosurgeon.wiring import open_store

    place = Workspace(root.resolve())
    if not any(path.is_file() for path in (place.database, place.lock, place.events)):
        with open_store(root):  # which refuses a folder that is no workspace
            pass
    loop = holder_of(place.lock)
    if loop is None:
        refuse_read_only(place)
    return place, loop


def _record(root: Path, act: Act, reason: str) -> None:
    """Add the act to the chain, or state that it is not in the record."""
    from autosurgeon.cli.acts import try_to_record
    from autosurgeon.core.person import PersonAct, current_person
    from autosurgeon.errors import AutosurgeonError
    from autosurgeon.store.database import utc_now
    from autosurgeon.wiring import open_store

    made = PersonAct(act=act, who=current_person(), at=utc_now(), reason=reason.strip())
    try:
        with open_store(root, writes=True) as store:
            missing = try_to_record(store, made)
    except (OSError, AutosurgeonError) as error:
        missing = str(error)
    if missing:
        typer.echo(f"this is not in the record: {missing}", err=True)
