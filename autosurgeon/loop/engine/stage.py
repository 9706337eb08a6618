"""Stages: run at least once, committed exactly once, reused when the pass is continued."""

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
    """A stage's result and the rows that are committed with it; `SqlStore.commit_stage` explains the parts."""

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
    """The stage's result: the committed one if its files still exist, else that of a new run.

    Args:
        ins: the instruments.
        scope: the scope of the stage.
        kind: the stage, by the type of its result.
        work: does the work in a given folder.
        still_there: whether the files of a committed result are still usable.
        name: the stage's name if it is not `kind.stage`.
        inputs: as in `effect_of`.
        attempts: the most failures of the world; by the settings when None.

    Raises:
        WorldError: the world failed, or the process died in the stage, as often as the settings allow; or the inputs of
            the stage have changed, so that later stages describe something that is gone.
        StoppedError: a stop is requested; the stage has not begun.
        DurabilityError: a flush to disk failed; it is not repeated.

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
    """Record the begin; WorldError where the process died in this stage too often."""
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
    """Repeat the work until it is committed or has failed too often."""
    while True:
        hold(ins)
        ins.reporter.stage_started(scope, name)
        before, began = ins.store.attempts(scope, name), time.monotonic()
        ins.meter.read()  # earlier usage belongs to no stage
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
        # Outside of the handler, so that a failure while waiting for space is not chained to the full disk.
        if failed is not None and ran_out_of_space(ins, failed):
            wait_for_space(ins, failed)
            # The disk may be full after the commit, and a stage is committed once.
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
    """Record a failure of the world; raise other failures, and one failure too many."""
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
