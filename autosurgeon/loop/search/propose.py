"""The next proposal, from the store alone: history, refused recipes, and the plateau."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from autosurgeon.core.pass_states import PassState
from autosurgeon.core.recipe import Recipe
from autosurgeon.core.records import PassRecord
from autosurgeon.loop.baseline.baseline import Baseline
from autosurgeon.loop.engine.fingerprint import contract_of
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.search.parent_choice import prefer_failing_parent
from autosurgeon.loop.search.plateau import plateau_line, read_plateau
from autosurgeon.loop.search.rank_cap import cap_rank
from autosurgeon.loop.search.warm_start import warm_start_passes
from autosurgeon.proposer.bounds import clip, widen
from autosurgeon.proposer.sampler import Proposal


def propose_next(ins: Instruments, baseline: Baseline) -> Recipe:
    """The next recipe; of a long history the proposer learns from a part."""
    search = ins.settings.search
    history = ins.store.remembered_passes(search.remembered_newest, search.remembered_best)
    elsewhere = warm_start_passes(ins)
    plateau, proposer = read_plateau(ins.store, ins.settings.loop), ins.proposer
    if plateau["widened"]:
        wider = widen(search, plateau["widened"], ins.settings.organ.reference_lr)
        proposer = proposer.within(clip(wider, ins.policy))
    if plateau["widened"] or plateau["flat"] == plateau["passes"]:
        _say(ins, plateau_line(plateau))
    number = history[-1].number + 1 if history else 1
    choose, cap = prefer_failing_parent(ins, baseline, number), cap_rank(ins, baseline, number)
    refused = refused_here(ins, (*elsewhere, *history))
    proposal = proposer.draw(history, refused, elsewhere, lambda recipe: cap(choose(recipe)))
    _report_draws(ins, proposal)
    return proposal.recipe


def refused_here(ins: Instruments, records: Iterable[PassRecord]) -> list[Recipe]:
    """The recipes that were refused on the packs that a pass would train on now, with the parent's name of today.

    Another live pack, other tasks or another policy may well take what was refused there.
    """
    live, base = ins.store.live(), ins.store.base_pack()
    packs = {"live": live.pack if live else None, "base": base}
    now = contract_of(ins.settings, ins.policy, ins.tasks)
    refused: dict[Recipe, None] = {}
    for record in records:
        known = record.contract
        if not _was_refused(record) or record.live_before != packs["live"]:
            continue
        if known is None or (known.policy, known.tasks) != (now.policy, now.tasks):
            continue
        # Before the first promotion live is base: one pack, by two names.
        for name in [name for name, pack in packs.items() if pack == record.parent]:
            refused[record.recipe.model_copy(update={"parent": name})] = None
    return list(refused)


def _was_refused(record: PassRecord) -> bool:
    """Whether the pass was judged and found bad, or a person rejected it; an interrupted watch did not judge."""
    if record.state == PassState.REVERTED:
        return record.feedback is not None and bool(record.feedback.violations)
    return record.state == PassState.REJECTED


def _report_draws(ins: Instruments, proposal: Proposal) -> None:
    if proposal.draws == 1:
        return
    wanted = ins.settings.search.refused_distance
    line = f"{proposal.draws - 1} recipes near refused ones were drawn and left out"
    if proposal.distance < wanted:
        line = f"each of {proposal.draws} recipes drawn is near a refused one; the farthest is tried"
    _say(ins, f"{line} (distance {proposal.distance:.2f}, search.refused_distance {wanted:g})")


def _say(ins: Instruments, line: str | None) -> None:
    if line is not None:
        structlog.get_logger().info("proposal", text=line)
        ins.reporter.say(line)
