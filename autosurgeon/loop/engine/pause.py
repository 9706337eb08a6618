"""Pauses: the loop waits while a person has paused it or the disk is full, and ends on request."""

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
from autosurgeon.loop.engine.stop_requests import Pause, asked, forget_old_words
from autosurgeon.packs.files import write_whole
from autosurgeon.store.database import utc_now
from autosurgeon.store.lock import myself

T = TypeVar("T")
GROWN_BYTES = 1 << 20
"""The growth of free space that counts as room made by a person."""


def get_ready(ins: Instruments) -> None:
    """Prepare a run: remove old requests, and load the ballast or wait for its space."""
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
    """Wait, between stages and passes, while a pause is requested or the disk is nearly full.

    Raises:
        StoppedError: a stop is requested, here or from another terminal.

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
    """Release the ballast, record the pause, and wait for space.

    Work that failed for lack of space is repeated at once if unused weights could be removed. Otherwise the free space
    must grow or some time must pass, since room may have been made before the first look, and quotas do not show in
    the free space.
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
    """Whether enough space was freed to repeat the failed work; a removal that fails for lack of space is none."""
    try:
        return make_room(ins) >= GROWN_BYTES
    except (OSError, StoreError):
        return False


def despite_full_disk(ins: Instruments, work: Callable[[], T]) -> T:
    """Return the result of the work; on a full disk, wait for space and repeat it."""
    waited = False
    while True:
        try:
            if waited:
                # The file that was being written may be one of them.
                rebuild_projections(ins)
            return work()
        except Exception as error:
            if not ran_out_of_space(ins, error):
                raise
            full = error
        # Outside of the handler, so that a failure while waiting is not chained to the full disk.
        wait_for_space(ins, full)
        waited = True


def ran_out_of_space(ins: Instruments, error: Exception) -> bool:
    """Whether a full disk caused a failure: by the error, or by the free space after a failure of capsule or store."""
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
        # A command records its person itself; a stop file has only its owner.
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
    """Record the pause, once; without room for it, at the next check."""
    if not ins.workspace.pause.exists():
        with contextlib.suppress(OSError):
            write_whole(ins.workspace.pause, pause.model_dump_json(indent=1) + "\n")
            reach("pause-noted")


def _say(ins: Instruments, line: str) -> None:
    # Standard output may be a file on the full disk.
    with contextlib.suppress(OSError):
        ins.reporter.say(line)


def _ballast(ins: Instruments) -> Ballast:
    return Ballast(ins.workspace.ballast, ins.settings.loop.ballast_mib)
