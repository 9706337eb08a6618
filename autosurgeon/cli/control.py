"""`autosurgeon stop`, `pause` and `resume`: a word to the loop that works on a workspace, from another terminal."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING

from autosurgeon.cli.options import WorkspaceOption

if TYPE_CHECKING:
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.store.lock import Holder


def stop(workspace: WorkspaceOption = Path(".")) -> None:
    """End the run that works on the workspace after its running stage; the next `run` goes on from there."""
    from autosurgeon.cli.render import say
    from autosurgeon.errors import WorkspaceError
    from autosurgeon.loop.engine.run_control import ask

    place, loop = _at_work(workspace)
    if loop is None:
        raise WorkspaceError("no loop works on this workspace, so there is none to stop", where=place.root)
    ask(place, "stop", _who(), loop)
    say(f"process {loop.pid} stops after the running stage")


def pause(workspace: WorkspaceOption = Path(".")) -> None:
    """Let the run wait after its running stage; where none is at work, the next one waits. `resume` lets it go on."""
    from autosurgeon.cli.render import say
    from autosurgeon.loop.engine.run_control import ask

    place, loop = _at_work(workspace)
    ask(place, "pause", _who(), loop)
    who = f"process {loop.pid} waits after the running stage" if loop else "no loop is at work; the next one waits"
    say(f"{who}; `autosurgeon resume` lets it go on")


def resume(workspace: WorkspaceOption = Path(".")) -> None:
    """Let a paused run go on. A run that waits for space on the disk goes on by itself."""
    from autosurgeon.cli.render import say
    from autosurgeon.loop.engine.run_control import ask, asked, paused

    place, loop = _at_work(workspace)
    word, waiting = asked(place), paused(place)
    if word is not None and word.word == "pause":
        ask(place, "run", _who(), loop)
        say(f"process {loop.pid} goes on" if loop else "the pause is over; `autosurgeon run` goes on")
    elif waiting is not None and waiting.reason == "disk":
        say("the run waits for space on the disk, not for a word; free some and it goes on")
    else:
        say("nothing is paused here")


def _at_work(root: Path) -> tuple[Workspace, Holder | None]:
    """A workspace that is there, and the process that works on it."""
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.store.lock import holder_of
    from autosurgeon.wiring import open_store

    with open_store(root, writes=True):
        place = Workspace(root.resolve())
    return place, holder_of(place.lock)


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may know its user by number alone.
        return "a person"
