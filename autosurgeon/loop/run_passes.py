"""The loop: one pass after another until a limit ends the run."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

import structlog

from autosurgeon.core.decision import Verdict
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.recipe import Recipe
from autosurgeon.core.records import PassRecord
from autosurgeon.core.shapes import lora_parameters_of
from autosurgeon.failpoints import reach
from autosurgeon.loop.baseline.baseline import Baseline, open_pass, read_baseline, refuse_other_organ
from autosurgeon.loop.baseline.task_manifest import refuse_changed_tasks
from autosurgeon.loop.decide.settle import rebuild_projections
from autosurgeon.loop.deploy.check_packs import check_packs
from autosurgeon.loop.deploy.runtime import restore
from autosurgeon.loop.engine.disk_space import disk_is_used_up
from autosurgeon.loop.engine.fingerprint import contract_of, settle_open_pass, under_contract
from autosurgeon.loop.engine.in_force import act_of_change, announce
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.limits import StoppedError
from autosurgeon.loop.engine.notify import notify
from autosurgeon.loop.engine.pause import despite_full_disk, get_ready, hold
from autosurgeon.loop.engine.stop_requests import ask
from autosurgeon.loop.pass_reports import sources_of, write_missing_report, write_pass_report
from autosurgeon.loop.pass_spine import PassSpine
from autosurgeon.loop.search.obstacles_from_files import counted_by_route, read_outlook
from autosurgeon.loop.search.obstacles_measured import obstacles_now
from autosurgeon.loop.search.propose import propose_next
from autosurgeon.loop.search.warm_start import warm_start_passes
from autosurgeon.loop.stuck import is_unjudged, read_row
from autosurgeon.policy.obstacles import Obstacle
from autosurgeon.policy.schema import Policy
from autosurgeon.store.lock import myself


class End(NamedTuple):
    """The end of a run."""

    reason: str
    detail: str | None = None
    """The detail of the reason."""


MAX_DETAIL = 300
"""Characters of an error that `status` shows as the cause of a run's end."""


def run(ins: Instruments, *, supersede: bool = False, why: str = "") -> str:
    """Run passes within the budget; return the reason of the end, one of `ENDINGS` in `cli/run.py`.

    A pass that an earlier run left open is finished first, under its own policy and seed, and counts.
    The store keeps the reason and its detail.

    Args:
        ins: the instruments.
        supersede: whether a person gives up the open pass.
        why: the person's reason for that or for another policy.

    Raises:
        UserError: the open pass cannot be finished under its contract, and no person gives it up.

    """
    announce(ins)
    try:
        despite_full_disk(ins, lambda: prepare_run(ins, supersede=supersede, why=why))
        run_id = despite_full_disk(ins, lambda: _begin(ins, why))
    except StoppedError:
        # A run that is stopped before its first pass records its cause too.
        with contextlib.suppress(StoppedError):
            despite_full_disk(ins, lambda: _end(ins, _begin(ins, why), End("stopped")))
        return "stopped"
    try:
        end = _run_passes(ins, run_id)
    except StoppedError:
        end = End("stopped")
    except BaseException as error:
        _end(ins, run_id, End("error", "interrupted twice" if isinstance(error, KeyboardInterrupt) else _shown(error)))
        raise
    # If a run is stopped while it waits for space to record its end, the next start records it.
    with contextlib.suppress(StoppedError):
        despite_full_disk(ins, lambda: _end(ins, run_id, end))
        despite_full_disk(ins, lambda: rebuild_projections(ins))
    return end.reason


def _begin(ins: Instruments, why: str) -> int:
    ins.store.keep_policy(ins.policy.digest, ins.policy.model_dump_json(by_alias=True))
    run_id = ins.store.begin_run(ins.brakes.passes, ins.brakes.hours, ins.in_force, act_of_change(ins, why))
    reach("run-begun")
    return run_id


def _shown(error: BaseException) -> str:
    """An error in one line of limited length."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:MAX_DETAIL]


def _end(ins: Instruments, run_id: int, end: End) -> None:
    """Record the end of the run; for a stopped one with the cause of the stop."""
    if end.reason == "stopped":
        end = End("stopped", ins.brakes.stop_cause)
    structlog.get_logger().info("run_ends", reason=end.reason, detail=end.detail)
    ins.store.end_run(run_id, end.reason, end.detail, act=ins.brakes.stop_act)
    reach("run-ended")
    notify(ins, "end", reason=end.reason, detail=end.detail)


def prepare_run(ins: Instruments, *, supersede: bool = False, why: str = "") -> None:
    """Prepare a run: check the organ and the packs, update files from the store, start the capsule server."""
    get_ready(ins)
    refuse_other_organ(ins)
    refuse_changed_tasks(ins)
    if (given_up := settle_open_pass(ins, supersede=supersede, why=why)) is not None:
        write_pass_report(sources_of(ins), given_up.number)
        ins.reporter.pass_ended(given_up)
    warm_start_passes(ins)
    ins.packs.sweep()
    reach("theatre-swept")
    # Before live.json is written, which must not name a damaged pack.
    check_packs(ins)
    reach("packs-checked")
    rebuild_projections(ins, anew=True)
    restore(ins)
    write_missing_report(sources_of(ins))
    ins.capsules.warm_up()


def _run_passes(ins: Instruments, run_id: int) -> End:
    done = 0
    if (end := _hopeless_by_files(ins)) is not None:
        return end
    while (reason := _end_reason(ins, done)) is None:
        hold(ins)
        ended = _one_pass(ins)
        if isinstance(ended, End):
            return ended
        reach("pass-ended")
        despite_full_disk(ins, lambda: ins.store.count_pass(run_id))
        reach("pass-counted")
        done += 1
        climb = ended.feedback.value if ended.feedback else None
        ins.brakes.count_pass(ended.state, climb, unjudged=is_unjudged(ins.store, ended))
        notify(ins, "pass", ended)
        # The runtime may have ended or changed during a pass, and a failed command may work now.
        despite_full_disk(ins, lambda: restore(ins))
        if _gate_is_shut(ins, ended.number):
            return End("gate")
        if _has_failed_evaluation(ins, ended):
            return End("evaluation")
        if (stuck := _stuck(ins, ended, done)) is not None:
            return stuck
        # A damaged pack may have failed this pass, and must not fail the next one.
        if ended.state == PassState.FAILED or done % ins.settings.loop.verify_every_passes == 0:
            despite_full_disk(ins, lambda: check_packs(ins))
    return End(reason)


def _stuck(ins: Instruments, ended: PassRecord, done: int) -> End | None:
    """The end of a run that is stuck, if the settings end it; otherwise it is reported or pauses the run."""
    loop, row = ins.settings.loop, read_row(ins.store, ins.settings.loop)
    if row is None or not row.is_stuck or row.newest != ended.number:
        return None
    then = loop.on_stuck if row.may_end else "none"
    if then != "none" or row.passes % loop.stuck_passes == 0:
        structlog.get_logger().warning("stuck", cause=str(row.cause), passes=row.passes, then=then)
        ins.reporter.say(row.line)
        notify(ins, "stuck", ended, reason=row.line, detail=str(row.cause))
    if then == "pause" and _end_reason(ins, done) is None:
        ask(ins.workspace, "pause", f"the loop, {row.line}", myself())
    return End("stuck", str(row.cause)) if then == "end" else None


def _end_reason(ins: Instruments, done: int) -> str | None:
    reason = ins.brakes.end_reason(done, ins.settings.loop)
    return "disk" if reason is None and disk_is_used_up(ins) else reason


def _hopeless_by_files(ins: Instruments) -> End | None:
    """The end of a run before any measurement, where the files show that no pass can be accepted."""
    if open_pass(ins) is not None:
        return None
    counted = counted_by_route(ins.tasks, ins.dispatcher)
    parameters = lora_parameters_of(ins.settings.organ_folder, 1)
    return _hopeless(ins, read_outlook(ins.settings, ins.policy, ins.tasks, counted, parameters).obstacles)


def _hopeless(ins: Instruments, found: Sequence[Obstacle]) -> End | None:
    if not found:
        return None
    for obstacle in found[1:]:
        ins.reporter.say(f"hopeless: {obstacle}")
    structlog.get_logger().warning("hopeless", obstacles=[str(obstacle) for obstacle in found])
    return End("hopeless", str(found[0]))


def _one_pass(ins: Instruments) -> PassRecord | End:
    """Finish the open pass, or a new one; on a full disk it waits and continues.

    No new pass begins where none can be accepted.
    """
    begun: int | None = None

    def go_on() -> PassRecord | End:
        nonlocal begun
        left_open = ins.store.get_pass(begun) if begun else open_pass(ins)
        if left_open is None:
            baseline = read_baseline(ins)
            if (end := _hopeless(ins, obstacles_now(ins, baseline))) is not None:
                return end
            record = begin_pass(ins, propose_next(ins, baseline), baseline, ins.policy)
            begun = record.number
            return finish_pass(ins, record, baseline, ins.policy)
        begun, under = left_open.number, under_contract(ins, left_open)
        if not under.in_force.judges_as(ins.in_force):
            ins.reporter.say(f"pass {begun} is finished as it was begun: {under.in_force.line}")
        return finish_pass(under, left_open, read_baseline(under, left_open.live_before), under.policy)

    return despite_full_disk(ins, go_on)


def _gate_is_shut(ins: Instruments, number: int) -> bool:
    """Whether the gate failed its self-test at this pass, as it would at every other pass."""
    return any(rule.rule_id == "valid-gate" for judged in ins.store.judgements(number) for rule in judged.broken())


def _has_failed_evaluation(ins: Instruments, ended: PassRecord) -> bool:
    """Whether a rule of this pass could not be evaluated, as in every other pass."""
    judged = ins.store.judgements(ended.number)
    return ended.state in (PassState.FAILED, PassState.REVERTED) and any(j.verdict == Verdict.ERROR for j in judged)


def begin_pass(ins: Instruments, recipe: Recipe, baseline: Baseline, policy: Policy) -> PassRecord:
    """Record the proposal before anything acts on it."""
    parent = baseline.base if recipe.parent == "base" else baseline.live
    contract = contract_of(ins.settings, policy, ins.tasks)
    ins.store.keep_policy(policy.digest, policy.model_dump_json(by_alias=True))
    reach("pass-proposed")
    number = ins.store.begin_pass(recipe, parent, baseline.live, contract)
    reach("pass-begun")
    return ins.store.get_pass(number)


def finish_pass(ins: Instruments, record: PassRecord, baseline: Baseline, policy: Policy) -> PassRecord:
    """Finish an open pass."""
    structlog.get_logger().info("pass_begins", number=record.number, state=record.state)
    ins.reporter.pass_started(record.number, record.recipe)
    if not record.state.is_finished:  # only its report may be missing
        PassSpine(ins, record, baseline, policy).operate()
    write_pass_report(sources_of(ins), record.number)
    reach("report-written")
    ended = ins.store.get_pass(record.number)
    ins.reporter.pass_ended(ended)
    return ended
