"""What a person asks of a running loop from another terminal: a small file that the loop reads between stages.

`data/control.json` holds the last word, `data/STOP` (any content) asks to stop where the command line is not at hand.
`stop` affects only the current run: the next `run` removes it and begins. A pause stays until `resume`, whichever run
comes: a paused workspace does not move.
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
    """What was asked, by whom and when, and of which loop."""

    word: Word
    by: str
    at: str
    to: Holder | None = None
    """The loop that was at work; None where there was none."""
    uid: int | None = None
    """The owner of the stop file; None for what a command asked."""


class Pause(Value):
    """Why a loop waits, since when, and who asked for it."""

    reason: Literal["asked", "disk"]
    by: str
    since: str
    to: Holder | None = None
    """The loop that waits."""


def ask(workspace: Workspace, word: Word, by: str, to: Holder | None) -> Control:
    """Leave a word for the loop, durably."""
    control = Control(word=word, by=by, at=utc_now(), to=to)
    workspace.control.parent.mkdir(parents=True, exist_ok=True)
    write_whole(workspace.control, control.model_dump_json(indent=1, exclude_none=True) + "\n")
    return control


def asked(workspace: Workspace, *, unreadable: Control | None = None) -> Control | None:
    """The last request, None where there is none; the stop file counts before it.

    Args:
        workspace: whose run is asked.
        unreadable: returned where the request cannot be read, such as the one that is in force: a file that a disk does
            not give out takes no request back.

    """
    with contextlib.suppress(OSError):
        owner = workspace.stop_file.stat().st_uid
        return Control(word="stop", by=f"the file {workspace.stop_file.name}", at=utc_now(), uid=owner)
    try:
        return Control.model_validate_json(workspace.control.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        # An unreadable file must not end a night; the line in the log records it.
        structlog.get_logger().warning("control_unreadable", error=type(error).__name__)
        return unreadable


def forget_old_words(workspace: Workspace, me: Holder) -> list[str]:
    """At the start of a run: take away what an earlier one was asked, but for a pause; lines that say so."""
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
    """Why the loop that is at work waits; None where it does not, or where none is at work."""
    try:
        pause = Pause.model_validate_json(workspace.pause.read_bytes())
    except (OSError, ValidationError):
        return None
    return pause if pause.to is not None and pause.to.is_alive else None
