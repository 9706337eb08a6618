"""What is spent and left: alpha of the live version, passes, hours, disk.

The alpha budget begins anew with each pass that went live and held, so that a month of improvements does not use it up:
the chance of a false promotion is bounded for each live version. `tests/benchmarks/false_promotions.py` measures what
that adds to campaigns without effect.
"""

from __future__ import annotations

import shutil

from autosurgeon.core.decision import Alpha, Evidence
from autosurgeon.failpoints import reach
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.stages.salvage_rungs import rungs_tried
from autosurgeon.policy.evidence import budget_facts
from autosurgeon.stats.alpha import AlphaBudget


def cost_of_look(ins: Instruments, number: int) -> Alpha:
    """What a pass's look at the benches costs: what it paid, or else what the next look would.

    Who looks with the one of several candidates that did best before has looked once for each. So every rung of the
    salvage ladder that was tried uses a look up, and the pass's own is the one after them, the cheapest.
    """
    paid = ins.store.look_of(number)
    if paid is not None:
        return paid
    begun = ins.store.looks_before_live()
    spent, after = _budget(ins, begun, rungs_tried(ins.store, number)).spend()
    return Alpha(look=begun + after.looks, spent=spent, left=after.left)


def before_the_look(ins: Instruments) -> Alpha:
    """How the budget stands where a pass has not looked."""
    begun = ins.store.looks_before_live()
    budget = _budget(ins, begun)
    return Alpha(look=begun + budget.looks, spent=0.0, left=budget.left)


def _budget(ins: Instruments, begun: int, more: int = 0) -> AlphaBudget:
    """The live version's, whose looks are those after number `begun`; as if `more` looks had been paid for besides."""
    return AlphaBudget(total=ins.settings.statistics.alpha, looks=ins.store.looks_paid() - begun + more)


def pay_for_look(ins: Instruments, number: int) -> Alpha:
    """Pay before looking, once: a pass that is continued, reverted or refused has looked all the same."""
    alpha = cost_of_look(ins, number)
    if ins.store.look_of(number) is None:
        ins.store.pay_look(number, alpha)
        reach("look-paid")
    return alpha


def budget_evidence(ins: Instruments, number: int) -> Evidence:
    """The budget's facts as they are now."""
    alpha = cost_of_look(ins, number)
    return budget_facts(
        alpha=alpha.spent,
        alpha_left=alpha.left,
        passes=number,
        hours=ins.store.stage_seconds() / 3600,
        disk_gib=shutil.disk_usage(ins.workspace.root).free / (1 << 30),
    )
