"""The loop: one pass after another until a brake says stop."""

from __future__ import annotations

import structlog

from autosurgeon.core.passes import PassState
from autosurgeon.core.recipe import Recipe
from autosurgeon.core.records import PassRecord
from autosurgeon.loop.brakes import StoppedError
from autosurgeon.loop.instruments import Instruments
from autosurgeon.loop.report import Sources, write_pass_report
from autosurgeon.loop.settle import rebuild_projections
from autosurgeon.loop.standing import Standing, refuse_other_organ, take_stock
from autosurgeon.loop.surgery import Surgery
from autosurgeon.policy.schema import Policy


def run(ins: Instruments) -> str:
    """Run passes within the budget; why the run ended: passes, hours, stopped, failures, or gate.

    A pass that an earlier run left open is finished first and counts.
    """
    open_theatre(ins)
    run_id = ins.store.begin_run(ins.brakes.passes, ins.brakes.hours)
    reason = "error"
    try:
        reason = _run_passes(ins, run_id)
    except StoppedError:
        reason = "stopped"
    finally:
        ins.store.end_run(run_id, reason)
    rebuild_projections(ins)
    return reason


def open_theatre(ins: Instruments) -> None:
    """What every start begins with: the right organ, files that agree with the store, a capsule server on its way."""
    refuse_other_organ(ins)
    rebuild_projections(ins)
    ins.capsules.warm_up()


def _run_passes(ins: Instruments, run_id: int) -> str:
    done, failures = 0, 0
    while (reason := ins.brakes.end_reason(done)) is None:
        left_open = open_pass(ins)
        standing = take_stock(ins, left_open.live_before if left_open else None)
        record = left_open or begin_pass(ins, ins.proposer.propose(ins.store.passes()), standing)
        ended = finish_pass(ins, record, standing, ins.policy)
        ins.store.count_pass(run_id)
        done += 1
        failures = failures + 1 if ended.state == PassState.FAILED else 0
        if failures >= ins.settings.loop.failures_in_a_row:
            return "failures"
        if _gate_is_shut(ins, ended.number):
            return "gate"
    return reason


def _gate_is_shut(ins: Instruments, number: int) -> bool:
    """Whether the gate failed its self-test at this pass: every other pass would end as this one did."""
    judged = [decision.judgement for decision in ins.store.decisions(number) if decision.judgement]
    return any(rule.rule_id == "valid-gate" for judgement in judged for rule in judgement.broken())


def open_pass(ins: Instruments) -> PassRecord | None:
    """The pass that an earlier run left open, if there is one."""
    return next((record for record in ins.store.passes() if not record.state.is_finished), None)


def begin_pass(ins: Instruments, recipe: Recipe, standing: Standing) -> PassRecord:
    """Write the proposal down before anything acts on it."""
    parent = standing.base if recipe.parent == "base" else standing.live
    return ins.store.get_pass(ins.store.begin_pass(recipe, parent, standing.live))


def finish_pass(ins: Instruments, record: PassRecord, standing: Standing, policy: Policy) -> PassRecord:
    """Take an open pass to its end."""
    structlog.get_logger().info("pass_begins", number=record.number, state=record.state)
    ins.reporter.pass_started(record.number, record.recipe)
    Surgery(ins, record, standing, policy).operate()
    write_pass_report(Sources(ins.store, ins.workspace, ins.tasks), record.number)
    ended = ins.store.get_pass(record.number)
    ins.reporter.pass_ended(ended)
    return ended
