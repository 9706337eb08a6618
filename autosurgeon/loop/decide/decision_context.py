"""The fields of a decision besides its judgement: packs, flips by name, alpha, power, cost and avoided cost."""

from __future__ import annotations

from typing import Any

from autosurgeon.core.decision import Judgement, Verdict
from autosurgeon.core.digest import digest_json
from autosurgeon.core.records import PassRecord
from autosurgeon.loop.baseline.baseline import Baseline, pass_scope
from autosurgeon.loop.decide.alpha_budget import before_the_look, cost_of_look
from autosurgeon.loop.decide.pass_cost import avoided_by_ending
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.policy.promotion import Comparison
from autosurgeon.stats.paired import power_line


def decision_context(
    ins: Instruments,
    record: PassRecord,
    baseline: Baseline,
    judgement: Judgement,
    *,
    pack: str | None = None,
    comparison: Comparison | None = None,
) -> dict[str, Any]:
    """The fields of a decision that the judgement does not have.

    Args:
        ins: the instruments.
        record: the pass.
        baseline: how things stood when it began.
        judgement: of the phase.
        pack: the candidate, once there is one.
        comparison: its bench, once it was run.

    """
    scope = pass_scope(record.number)
    packs = {"parent": record.parent, "live": baseline.live, "base": baseline.base}
    price = cost_of_look(ins, record.number)
    paid = ins.store.look_of(record.number) is not None
    alpha = price if paid else before_the_look(ins)
    flipped = comparison.restricted().flips(comparison.expected) if comparison else None
    # Of the counted tasks outside the canary, which is what a promotion could look at.
    tasks = len(comparison.expected) if comparison else _judged_tasks(ins, baseline)
    ended = judgement.verdict != Verdict.ACCEPT and judgement.phase != "watch"
    return {
        "evidence_digest": digest_json(judgement.evidence),
        "packs": packs | ({"candidate": pack} if pack else {}),
        "lost": flipped.lost if flipped else (),
        "gained": flipped.gained if flipped else (),
        "alpha": alpha,
        "power": power_line(tasks, price.spent) if tasks else "",
        "cost": ins.store.spent_in(scope),
        "avoided": avoided_by_ending(ins.store, scope) if ended else None,
    }


def _judged_tasks(ins: Instruments, baseline: Baseline) -> int:
    return sum(task.bench in baseline.counted and task.split != "canary" for task in ins.tasks.values())
