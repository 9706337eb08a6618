"""Facts from values: one pure function per phase. What was not measured is None, and None never passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autosurgeon.core.decision import Evidence
from autosurgeon.core.envelope import ORGAN, Envelope
from autosurgeon.core.jobs import TrainResult
from autosurgeon.core.recipe import Recipe
from autosurgeon.stats.paired import flips, p_regression

Results = Mapping[str, Envelope]
"""A pack's envelopes by task id."""

MOST_NAMED = 20
"""Of what evidence names; a decision is to be read, and the stage's own output holds the rest."""


def recipe_facts(recipe: Recipe, reference_lr: float) -> Evidence:
    """What the recipe says; its rate also as a ratio, so that one policy fits organs of any size."""
    return {
        "recipe.parent": recipe.parent,
        "recipe.mix": recipe.mix.value,
        "recipe.poison_share": recipe.poison_share,
        "recipe.anchor_share": recipe.anchor_share,
        "recipe.epochs": recipe.epochs,
        "recipe.lr": recipe.lr,
        "recipe.lr_ratio": recipe.lr / reference_lr,
        "recipe.rank": recipe.rank,
        "recipe.alpha_ratio": recipe.alpha_ratio,
    }


def data_facts(reasons: Sequence[str], splits: Sequence[str]) -> Evidence:
    """What the planned rows are: why each is there, and from which split."""
    return {
        "data.rows": len(reasons),
        "data.poison_rows": reasons.count("poison"),
        "data.anchor_rows": reasons.count("anchor"),
        "data.mastered_rows": reasons.count("mastered"),
        "data.held_out_rows": sum(split != "surgery" for split in splits),
    }


def contamination_facts(twins: Mapping[str, Sequence[str]], near: Mapping[str, Sequence[str]]) -> Evidence:
    """Which rows are held-out tasks told again, and which are like one: by row, its pairs in words."""
    return {
        "data.held_out_hits": len(twins),
        "data.held_out_pairs": _first_named(twins),
        "data.near_hits": len(near),
        "data.near_pairs": _first_named(near),
    }


def _first_named(pairs: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    return tuple(pair for told in pairs.values() for pair in told)[:MOST_NAMED]


def target_facts(targets: Sequence[str], foreign_answers: Mapping[str, int]) -> Evidence:
    """Which benches are targets, and how many of them another handler answered for."""
    return {
        "targets.benches": len(targets),
        "targets.leaking": sum(foreign_answers.get(bench, 0) > 0 for bench in targets),
    }


def training_facts(result: TrainResult) -> Evidence:
    """What training measured."""
    return {
        "training.loss": result.loss,
        "training.loss_fraction": result.loss_fraction,
        "training.epochs": result.epochs,
        "training.steps": result.steps,
        "training.gradient_norm": result.gradient_norm,
    }


def smoke_facts(anchors: Sequence[str], results: Results) -> Evidence:
    """How the held-out anchors fared; an anchor that did not run leaves `smoke.lost` unknown."""
    ran = [results[task_id] for task_id in anchors if task_id in results]
    lost = sum(not envelope.passed for envelope in ran)
    return {"smoke.tried": len(ran), "smoke.lost": lost if len(ran) == len(anchors) else None}


def _wins(results: Results, bench: str) -> int:
    return sum(envelope.passed for envelope in results.values() if envelope.bench == bench)


def _passed(results: Results, split: str | None = None) -> dict[str, bool]:
    return {task: e.passed for task, e in results.items() if split is None or e.split == split}


def promotion_facts(
    *,
    expected: Sequence[str],
    pack: Results,
    live: Results,
    base: Results,
    anchors: Sequence[str],
    verified: bool,
    impossible: tuple[int, Sequence[str]],
) -> Evidence:
    """The packed file against live and base, on the counted tasks but the canary's.

    Args:
        expected: ids of the counted tasks that should have run.
        pack: the candidate's envelopes by task id; tasks that are not expected are left out, here and below.
        live: the live pack's.
        base: the base's.
        anchors: confirmed wins of live.
        verified: whether the packed file was read back and every digest held.
        impossible: how many tasks with contradictory tests were tried, and which of them were passed.

    """
    wanted = set(expected)
    pack, live, base = ({t: e for t, e in r.items() if t in wanted} for r in (pack, live, base))
    benches = sorted({envelope.bench for envelope in base.values()})
    comparable = pack.keys() >= wanted and live.keys() >= wanted and base.keys() >= wanted
    prints = [{e.cond.fingerprint for e in r.values() if e.cond.handler == ORGAN} for r in (pack, live, base)]
    gate = flips(_passed(live, "gate"), _passed(pack, "gate"))
    anchors_run = [task_id for task_id in anchors if task_id in pack]
    return {
        "pack.verified": verified,
        "bench.tasks": len(pack),
        "bench.missing": len(wanted - pack.keys()),
        "bench.fallbacks": sum(envelope.cond.fallback for envelope in pack.values()),
        "bench.foreign": sum(envelope.cond.handler != ORGAN for envelope in pack.values()),
        "bench.impossible_tried": impossible[0],
        "bench.impossible_passed": len(impossible[1]),
        "bench.shared_tier": sum(envelope.tier == "shared" for envelope in pack.values()),
        "bench.same_conditions": len(prints[0]) == 1 and prints[0] == prints[1] == prints[2],
        "bench.worst_net": _worst_net(pack, live, benches) if comparable else None,
        "bench.worst_net_over_base": _worst_net(pack, base, benches) if comparable else None,
        "anchors.lost": sum(not pack[t].passed for t in anchors_run) if len(anchors_run) == len(anchors) else None,
        "gate.tasks": gate.tasks,
        "gate.lost": len(gate.lost) if gate.tasks else None,
        "gate.gained": len(gate.gained) if gate.tasks else None,
        "gate.net": gate.net if gate.tasks else None,
        "gate.net_split": _net_of_the_split_tier(live, pack) if gate.tasks else None,
        "gate.p_regression": p_regression(len(gate.lost), len(gate.gained)) if gate.tasks else None,
    }


def _net_of_the_split_tier(live: Results, pack: Results) -> int:
    """Net wins on gate tasks of which both results came from the stronger tier."""
    both = {t for t in pack if t in live and pack[t].tier == live[t].tier == "split"}
    return flips(_passed({t: live[t] for t in both}, "gate"), _passed({t: pack[t] for t in both}, "gate")).net


def _worst_net(pack: Results, other: Results, benches: Sequence[str]) -> int | None:
    return min((_wins(pack, bench) - _wins(other, bench) for bench in benches), default=None)


def watch_facts(*, canary: Sequence[str], before: Results, after: Results, anchors: Sequence[str]) -> Evidence:
    """The new live pack on the canary split, against the old one, and on every anchor."""
    complete = all(task in before and task in after for task in canary)
    flipped = flips(
        {t: before[t].passed for t in canary if t in before}, {t: after[t].passed for t in canary if t in after}
    )
    tried = [task for task in anchors if task in after]
    return {
        "watch.canary_tasks": flipped.tasks,
        "watch.canary_lost": len(flipped.lost) if complete and canary else None,
        "watch.canary_net": flipped.net if complete and canary else None,
        "watch.anchors_tried": len(tried),
        "watch.anchors_lost": sum(not after[t].passed for t in tried) if len(tried) == len(anchors) else None,
    }
