"""What the campaign has spent and has left: alpha, passes, hours, disk."""

from __future__ import annotations

import shutil

from autosurgeon.core.decision import Alpha, Evidence
from autosurgeon.failpoints import reach
from autosurgeon.loop.instruments import Instruments
from autosurgeon.policy.evidence import budget_facts
from autosurgeon.stats.budget import AlphaBudget


def price_of_look(ins: Instruments, number: int) -> Alpha:
    """What a pass's look at the benches costs: what it paid, or else what the next look would."""
    paid = ins.store.look_of(number)
    if paid is not None:
        return paid
    spent, after = AlphaBudget(total=ins.settings.statistics.alpha, looks=ins.store.looks_paid()).spend()
    return Alpha(look=after.looks, spent=spent, left=after.left)


def pay_for_look(ins: Instruments, number: int) -> Alpha:
    """Pay before looking, once: a pass that is continued, reverted or refused has looked all the same."""
    alpha = price_of_look(ins, number)
    if ins.store.look_of(number) is None:
        ins.store.pay_look(number, alpha)
        reach("look-paid")
    return alpha


def budget_evidence(ins: Instruments, number: int) -> Evidence:
    """The budget's facts as they are now."""
    alpha = price_of_look(ins, number)
    return budget_facts(
        alpha=alpha.spent,
        alpha_left=alpha.left,
        passes=number,
        hours=ins.store.stage_seconds() / 3600,
        disk_gib=shutil.disk_usage(ins.workspace.root).free / (1 << 30),
    )
