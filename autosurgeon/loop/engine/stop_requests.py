"""Requests to a running loop from another terminal, in a small file that the loop reads between stages.

`data/control.json` holds the last request; `data/STOP` (any content) requests a stop without the command line. A stop
affects only the current run: the next `run` removes it. A pause stays until `resume`, also for later runs.
"""

from __future__ import annotations

import contextlib
from typing import Literal

import structlog
from pydantic import ValidationError

from autosurgeon.core.value import Value
from autosurgeon.core.workspace import Workspace
from autosurgeon.packs.files import write_whole
from autosurgeon.store.database import utc_now
from autosurgeon.store.lock import Holder

Word = Literal["run", "pause", "stop"]


class Control(Value):
    """A request: by whom, when, and to which loop."""

    word: Word
    by: str
    at: str
    to: Holder | None = None
    """The running loop; None where there was none."""
    uid: int | None = None
    """The owner of the stop file; None for a command."""


class Pause(Value):
    """Why a loop waits, since when, and by whose request."""

    reason: Literal["asked", "disk"]
    by: str
    since: str
    to: Holder | None = None
    """The loop that waits."""


def ask(workspace: Workspace, word: Word, by: str, to: Holder | None) -> Control:
    """Write a request for the loop, durably."""
    control = Control(word=word, by=by, at=utc_now(), to=to)
    workspace.control.parent.mkdir(parents=True, exist_ok=True)
    write_whole(workspace.control, control.model_dump_json(indent=1, exclude_none=True) + "\n")
    return control


def asked(workspace: Workspace, *, unreadable: Control | None = None) -> Control | None:
    """The last request, None where there is none; the stop file counts before it.

    Args:
        workspace: the workspace of the run.
        unreadable: returned where the request cannot be read, such as the one in force: an unreadable file withdraws no
            request.

    """
    with contextlib.suppress(OSError):
        owner = workspace.stop_file.stat().st_uid
        return Control(word="stop", by=f"the file {workspace.stop_file.name}", at=utc_now(), uid=owner)
    try:
        return Control.model_validate_json(workspace.control.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        # An unreadable file must not end a run; the log records it.
        structlog.get_logger().warning("control_unreadable", error=type(error).__name__)
        return unreadable


def forget_old_words(workspace: Workspace, me: Holder) -> list[str]:
    """Remove the requests of earlier runs at the start of a run, except a pause; return lines for the reporter."""
    lines = []
    if workspace.stop_file.exists():
        # A file that cannot be removed stops this run too, with a line.
        with contextlib.suppress(OSError):
            workspace.stop_file.unlink()
            lines.append(f"{workspace.stop_file} was left from an earlier run and is taken away")
    word = asked(workspace)
    if word is not None and word.word == "stop" and not (word.to and word.to.same_process(me)):
        workspace.control.unlink(missing_ok=True)
    if word is not None and word.word == "pause":
        lines.append(f"{word.by} paused this workspace at {word.at}; `autosurgeon resume` lets it go on")
    workspace.pause.unlink(missing_ok=True)
    return lines


def paused(workspace: Workspace) -> Pause | None:
    """Why the running loop waits; None where it does not, or where none is running."""
    try:
        pause = Pause.model_validate_json(workspace.pause.read_bytes())
    except (OSError, ValidationError):
        return None
    return pause if pause.to is not None and pause.to.is_alive else None
