"""A stage: run at least once, committed exactly once, adopted when the pass is continued."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from autosurgeon.core.envelope import Envelope
from autosurgeon.core.pack import Manifest
from autosurgeon.core.records import AnchorRun
from autosurgeon.errors import WorldError
from autosurgeon.failpoints import reach
from autosurgeon.loop.engine.fingerprint import effect_of
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.limits import StoppedError
from autosurgeon.loop.engine.pause import hold, ran_out_of_space, wait_for_space


class Done(NamedTuple):
    """What a stage comes back with; see SqlStore.commit_stage for the parts."""

    output: dict[str, Any]
    envelopes: tuple[str, str, Iterable[Envelope]] | None = None
    confirmations: tuple[str, dict[str, tuple[int, int]]] | None = None
    pack: tuple[Manifest, int | None] | None = None
    anchor_runs: Iterable[AnchorRun] = ()


def once(
    ins: Instruments,
    scope: str,
    name: str,
    work: Callable[[Path], Done],
    still_there: Callable[[dict[str, Any]], bool] = lambda output: True,
    *,
    inputs: Any = None,
) -> dict[str, Any]:
    """The stage's output: the committed one where there is one and its files are still there, else a fresh run's.

    Args:
        ins: the instruments.
        scope: whose stage it is.
        name: the stage.
        work: does it, in the folder that it is given.
        still_there: whether what a committed output names is still usable.
        inputs: see effect_of.

    Raises:
        WorldError: the world failed, or the process died in it, as often as the settings allow; or what the stage was
            done on is not what it was, so that later stages speak of something that is gone.
        StoppedError: a person asked to stop; nothing of this stage has begun.
        DurabilityError: the disk did not take a flush; not tried again.

    """
    effect_id, committed = effect_of(ins, scope, name, inputs), ins.store.effect(scope, name)
    if committed is not None and committed.effect_id not in (None, effect_id):
        raise WorldError(f"stage {name} was done on what was lost since, and came out otherwise when made again")
    if committed is not None and still_there(committed.output):
        return committed.output
    hold(ins)
    _begin(ins, scope, name)
    try:
        return _try(ins, scope, name, work, effect_id)
    except (StoppedError, KeyboardInterrupt):
        ins.store.put_off_stage(scope, name)
        raise


def _begin(ins: Instruments, scope: str, name: str) -> None:
    """Note the begin; WorldError where the process died in this stage too often, which it then would for ever."""
    died = ins.store.begin_stage(scope, name)
    if died > ins.settings.loop.recoveries:
        error = WorldError(f"set aside: the process died {died} times in stage {name}, without a word why")
        _note_failure(ins, scope, name, error, 0.0)
        raise error


def _try(ins: Instruments, scope: str, name: str, work: Callable[[Path], Done], effect_id: str) -> dict[str, Any]:
    """Do the work until it is committed, or has failed as often as the settings allow."""
    while True:
        hold(ins)
        ins.reporter.stage_started(scope, name)
        began = time.monotonic()
        ins.meter.read()  # what is on it was used by nobody's stage
        try:
            reach("stage-begun")
            done = work(ins.workspace.stage(scope, name))
            seconds = time.monotonic() - began
            reach("stage-worked")
            used = ins.meter.read()
            ins.store.commit_stage(scope, name, seconds=seconds, effect_id=effect_id, usage=used, **done._asdict())
        except Exception as error:
            seconds, failed = time.monotonic() - began, error
        else:
            ins.brakes.count_stage(name, seconds)
            reach("stage-committed")
            structlog.get_logger().info("stage_done", scope=scope, stage=name, seconds=round(seconds, 3))
            ins.reporter.stage_ended(seconds)
            return done.output
        # Out here: what fails while space is waited for would else be taken for a consequence of the full disk.
        ins.brakes.count_stage(name, seconds)
        if ran_out_of_space(ins, failed):
            wait_for_space(ins, failed)
            continue
        if not isinstance(failed, WorldError):
            raise failed
        _note_failure(ins, scope, name, failed, seconds)


def _note_failure(ins: Instruments, scope: str, name: str, error: WorldError, seconds: float) -> None:
    """Write a failed try down; the error goes on where it was the last one that the settings allow."""
    ins.store.record_failure(scope, name, str(error), seconds, ins.meter.read())
    structlog.get_logger().warning("stage_failed", scope=scope, stage=name, error=str(error))
    ins.reporter.say(f"{scope} {name}: {error}")
    if ins.store.failed_attempts(scope, name) >= ins.settings.loop.attempts:
        raise error
