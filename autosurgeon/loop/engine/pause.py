"""Pause: the loop waits while a person has paused it or the disk is full, and ends when it is asked to."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Literal, TypeVar

import structlog

from autosurgeon.core.person import person_of
from autosurgeon.errors import StoreError, WorldError
from autosurgeon.failpoints import reach
from autosurgeon.loop.decide.settle import rebuild_projections
from autosurgeon.loop.engine.disk_space import make_room
from autosurgeon.loop.engine.full_disk import Ballast, free_bytes, is_full_disk
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.limits import StoppedError
from autosurgeon.loop.engine.notify import notify
from autosurgeon.loop.engine.run_control import Pause, asked, forget_old_words
from autosurgeon.packs.files import write_whole
from autosurgeon.store.database import utc_now
from autosurgeon.store.lock import myself

T = TypeVar("T")
GROWN_BYTES = 1 << 20
"""Growth of the free space that counts as somebody having made room."""


def get_ready(ins: Instruments) -> None:
    """At the start of a run: old words are taken away, and the ballast is loaded or waited for."""
    for line in forget_old_words(ins.workspace, myself()):
        ins.reporter.say(line)
    full: Exception | None = None
    try:
        _ballast(ins).load()
    except OSError as error:
        full = error
    if full is not None:
        wait_for_space(ins, full)


def hold(ins: Instruments) -> None:
    """Between stages and passes: wait as long as somebody wants it or the disk is nearly full.

    Raises:
        StoppedError: a person asked to stop, here or from another terminal.

    """
    _obey_stop(ins)
    word = asked(ins.workspace)
    if word is not None and word.word == "pause":
        _wait_for_a_word(ins, word.by)
    floor = ins.settings.loop.min_free_mib << 20
    if free_bytes(ins.workspace.root) < floor:
        make_room(ins)
        if free_bytes(ins.workspace.root) < floor:
            wait_for_space(ins)


def wait_for_space(ins: Instruments, error: Exception | None = None) -> None:
    """Give up the ballast, write down that the disk is full, and wait for space.

    Where something failed for want of space, it is tried again at once if weights that nothing keeps could go. If not,
    what is free now was not enough: it has to grow, or else a while has to pass, since somebody may have made room
    before anybody looked, and a quota shows in no free space at all.
    """
    loop, ballast = ins.settings.loop, _ballast(ins)
    if error is not None and _made_room(ins):
        return
    ballast.release()
    reach("ballast-released")
    found = free_bytes(ins.workspace.root)
    wanted = (loop.min_free_mib << 20) + ballast.size
    pause = _pause("disk", "the disk")
    structlog.get_logger().warning("paused", reason="disk", free_mib=found >> 20, error=str(error) if error else None)
    where = f"{found >> 20} MiB free, wanted {wanted >> 20} (settings loop.min_free_mib and loop.ballast_mib)"
    _say(ins, f"paused: the disk is nearly full, {where}; free some space and the run goes on, nothing is lost")
    notify(ins, "paused", reason="disk")
    began = time.monotonic()
    while True:
        _note(ins, pause)
        _obey_stop(ins)
        _sleep(ins)
        free = free_bytes(ins.workspace.root)
        waited = time.monotonic() - began >= loop.full_disk_retry_s
        if free >= wanted and (error is None or free >= found + GROWN_BYTES or waited):
            try:
                ballast.load()
            except OSError:
                began, found = time.monotonic(), free
                continue
            break
    _go_on(ins, "disk")


def _made_room(ins: Instruments) -> bool:
    """Whether enough came free to try again what failed; a disk that is too full even for that is no other failure."""
    try:
        return make_room(ins) >= GROWN_BYTES
    except (OSError, StoreError):
        return False


def despite_full_disk(ins: Instruments, work: Callable[[], T]) -> T:
    """What the work comes back with; where the disk is full, wait for space and do it again."""
    waited = False
    while True:
        try:
            if waited:
                # What was being written when the disk was full may have been one of them.
                rebuild_projections(ins)
            return work()
        except Exception as error:
            if not ran_out_of_space(ins, error):
                raise
            full = error
        # Out here: what fails while space is waited for would else be taken for a consequence of the full disk.
        wait_for_space(ins, full)
        waited = True


def ran_out_of_space(ins: Instruments, error: Exception) -> bool:
    """Whether a full disk caused a failure: by the error itself, or by the free space after capsule or store failed."""
    silent = isinstance(error, WorldError | StoreError) and free_bytes(ins.workspace.root) < GROWN_BYTES
    return silent or is_full_disk(error)


def _wait_for_a_word(ins: Instruments, by: str) -> None:
    pause = _pause("asked", by)
    structlog.get_logger().info("paused", reason="asked", by=by)
    _say(ins, f"paused by {by}; `autosurgeon resume` lets it go on")
    notify(ins, "paused", reason="asked")
    word = asked(ins.workspace)
    while word is not None and word.word == "pause":
        _note(ins, pause)
        _obey_stop(ins)
        _sleep(ins)
        word = asked(ins.workspace, unreadable=word)
    _obey_stop(ins)
    _go_on(ins, "asked")


def _sleep(ins: Instruments) -> None:
    ins.beat()
    time.sleep(ins.brakes.poll_s)


def _obey_stop(ins: Instruments) -> None:
    word = asked(ins.workspace)
    if word is not None and word.word == "stop":
        _say(ins, f"stopping, as {word.by} asked")
        structlog.get_logger().info("stop_asked", by=word.by)
        # Who asked by a command is in the record by that command; a file has its owner alone.
        ins.brakes.request_stop(f"asked by {word.by}", person_of(word.uid) if word.uid is not None else None)
    try:
        ins.brakes.check()
    except StoppedError:
        ins.workspace.pause.unlink(missing_ok=True)
        raise


def _go_on(ins: Instruments, reason: str) -> None:
    ins.workspace.pause.unlink(missing_ok=True)
    structlog.get_logger().info("resumed", reason=reason)
    _say(ins, "going on")


def _pause(reason: Literal["asked", "disk"], by: str) -> Pause:
    return Pause(reason=reason, by=by, since=utc_now(), to=myself())


def _note(ins: Instruments, pause: Pause) -> None:
    """Write the pause down, once; where even that finds no room, with the next look."""
    if not ins.workspace.pause.exists():
        with contextlib.suppress(OSError):
            write_whole(ins.workspace.pause, pause.model_dump_json(indent=1) + "\n")
            reach("pause-noted")


def _say(ins: Instruments, line: str) -> None:
    # Standard output may be a file on the disk that is full.
    with contextlib.suppress(OSError):
        ins.reporter.say(line)


def _ballast(ins: Instruments) -> Ballast:
    return Ballast(ins.workspace.ballast, ins.settings.loop.ballast_mib)
