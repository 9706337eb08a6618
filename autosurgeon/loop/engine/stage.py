"""A stage: run at least once, committed exactly once, adopted when the pass is continued."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import structlog

from autosurgeon.core.envelope import Envelope
from autosurgeon.core.pack import Manifest
from autosurgeon.core.records import AnchorRun
from autosurgeon.core.stage_results import StageResult
from autosurgeon.errors import WorldError
from autosurgeon.failpoints import reach
from autosurgeon.loop.engine.fingerprint import effect_of
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.limits import StoppedError
from autosurgeon.loop.engine.pause import hold, ran_out_of_space, wait_for_space

Result = TypeVar("Result", bound=StageResult)


class Done(NamedTuple, Generic[Result]):
    """A stage's result and the rows that are committed with it; see SqlStore.commit_stage for the parts."""

    result: Result
    envelopes: tuple[str, str, Iterable[Envelope]] | None = None
    confirmations: tuple[str, dict[str, tuple[int, int]]] | None = None
    pack: tuple[Manifest, int | None] | None = None
    anchor_runs: Iterable[AnchorRun] = ()


def once(
    ins: Instruments,
    scope: str,
    kind: type[Result],
    work: Callable[[Path], Done[Result]],
    still_there: Callable[[Result], bool] = lambda result: True,
    *,
    name: str | None = None,
    inputs: Any = None,
    attempts: int | None = None,
) -> Result:
    """The stage's result: the committed one where there is one and its files are still there, else a fresh run's.

    Args:
        ins: the instruments.
        scope: whose stage it is.
        kind: the stage, by what it returns.
        work: does it, in the folder that it is given.
        still_there: whether what a committed result names is still usable.
        name: the stage's name where it is not `kind.stage`.
        inputs: see effect_of.
        attempts: how often the world may fail; as the settings say when None.

    Raises:
        WorldError: the world failed, or the process died in it, as often as the settings allow; or what the stage was
            done on is not what it was, so that later stages speak of something that is gone.
        StoppedError: a person asked to stop; nothing of this stage has begun.
        DurabilityError: the disk did not take a flush; not tried again.

    """
    name = name or kind.stage
    effect_id, committed = effect_of(ins, scope, name, inputs), ins.store.effect(scope, kind, name)
    if committed is not None and committed.effect_id not in (None, effect_id):
        raise WorldError(f"stage {name} was done on what was lost since, and came out otherwise when made again")
    if committed is not None and still_there(committed.result):
        return committed.result
    hold(ins)
    attempts = attempts or ins.settings.loop.attempts
    _begin(ins, scope, name)
    try:
        return _try(ins, scope, name, work, effect_id, attempts)
    except (StoppedError, KeyboardInterrupt):
        ins.store.put_off_stage(scope, name)
        raise


def _begin(ins: Instruments, scope: str, name: str) -> None:
    """Note the begin; WorldError where the process died in this stage so often that it would die for ever."""
    died = ins.store.begin_stage(scope, name)
    if died > ins.settings.loop.recoveries:
        error = WorldError(f"set aside: the process died {died} times in stage {name}, without a recorded cause")
        _note_failure(ins, scope, name, error, 0.0)
        raise error


def _try(
    ins: Instruments,
    scope: str,
    name: str,
    work: Callable[[Path], Done[Result]],
    effect_id: str,
    attempts: int,
) -> Result:
    """Do the work until it is committed, or has failed as often as it may."""
    while True:
        hold(ins)
        ins.reporter.stage_started(scope, name)
        before, began = ins.store.attempts(scope, name), time.monotonic()
        ins.meter.read()  # usage from before this stage belongs to no stage
        done: Done[Result] | None = None
        failed: Exception | None = None
        try:
            reach("stage-begun")
            done = work(ins.workspace.stage(scope, name))
            reach("stage-worked")
            used, rows = ins.meter.read(), done._asdict()
            output = rows.pop("result").content()
            ins.store.commit_stage(scope, name, output, time.monotonic() - began, effect_id, usage=used, **rows)
        except Exception as error:
            failed = error
        seconds = time.monotonic() - began
        ins.brakes.count_stage(name, seconds)
        # Outside of the handler: a failure while the loop waits for space is no consequence of the full disk.
        if failed is not None and ran_out_of_space(ins, failed):
            wait_for_space(ins, failed)
            # The disk may have filled up after the commit, and a stage is committed once.
            if done is None or ins.store.attempts(scope, name) == before:
                continue
        elif failed is not None:
            _give_up(ins, scope, name, failed, seconds, attempts)
            continue
        if done is not None:
            reach("stage-committed")
            structlog.get_logger().info("stage_done", scope=scope, stage=name, seconds=round(seconds, 3))
            ins.reporter.stage_ended(seconds)
            return done.result


def _give_up(ins: Instruments, scope: str, name: str, failed: Exception, seconds: float, attempts: int) -> None:
    """Note a failure of the world; raise it where it is no such failure, or the stage has failed often enough."""
    if not isinstance(failed, WorldError):
        raise failed
    _note_failure(ins, scope, name, failed, seconds)
    if ins.store.failed_attempts(scope, name) >= attempts:
        raise failed


def _note_failure(ins: Instruments, scope: str, name: str, error: WorldError, seconds: float) -> None:
    """Record a failed attempt."""
    ins.store.record_failure(scope, name, str(error), seconds, ins.meter.read())
    structlog.get_logger().warning("stage_failed", scope=scope, stage=name, error=str(error))
    ins.reporter.say(f"{scope} {name}: {error}")
