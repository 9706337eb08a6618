"""Whether any pass that could begin now could be accepted, by all that is measured: if none could, the run ends."""

from __future__ import annotations

from autosurgeon.core.recipe import Recipe
from autosurgeon.core.shapes import lora_parameters_of
from autosurgeon.core.task import Split
from autosurgeon.loop.baseline.baseline import Baseline
from autosurgeon.loop.decide.alpha_budget import cost_of_look
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.search.obstacles_from_files import known_from_files, least_rank, parameters_per_row, usable
from autosurgeon.loop.stages.bench_pack import empty_comparison
from autosurgeon.loop.stages.choose_rows import rows_for
from autosurgeon.policy.obstacles import Known, Obstacle, obstacles
from autosurgeon.policy.reach import reach_of
from autosurgeon.policy.rules import LARGEST
from autosurgeon.proposer.bounds import clip
from autosurgeon.stats.gains import Pairs, log_e_gain, p_luck
from autosurgeon.store.database import utc_now


def obstacles_now(ins: Instruments, baseline: Baseline) -> tuple[Obstacle, ...]:
    """What keeps every pass that could begin now from being accepted, by all that is measured."""
    tasks = [task for task in ins.tasks.values() if task.bench in baseline.counted]
    known = {one.fact: one for one in known_from_files(ins.settings, ins.policy, tasks, None)}
    if tasks:
        for one in (*_measured_rows(ins, baseline), *_guarded(ins, baseline), *_gains(ins, baseline), *_spent(ins)):
            before = known.get(one.fact)
            # What no task can bring is plainer in the words of the files.
            if before is None or not (before.missing or before.equals is not None or before.most == 0):
                known[one.fact] = one
    return obstacles(ins.policy, list(known.values()))


def _measured_rows(ins: Instruments, baseline: Baseline) -> list[Known]:
    """The rows of the largest dataset that a pass could have; hidden anchors are for now, and count as rows."""
    largest = Recipe(lr=ins.settings.organ.reference_lr, poison_share=1.0, anchor_share=4.0)
    now = baseline._replace(hidden=frozenset())
    history = ins.store.ever_poison(before=_next_number(ins))
    counts = {"poison": 0, "all": 0}
    for name, pack in _parents(ins, baseline).items():
        rows = rows_for(ins, largest.model_copy(update={"parent": name}), pack, now, history, {}).rows
        counts["poison"] = max(counts["poison"], sum(row.why == "poison" for row in rows))
        counts["all"] = max(counts["all"], len(rows))
    possible = len(usable(task for task in ins.tasks.values() if task.bench in baseline.counted))
    words = f"only {counts['poison']} failures can be training rows"
    remedy = "add harder tasks to the surgery split"
    if not counts["poison"]:
        words = f"no failure is left to learn from among the {possible} tasks that can be training rows"
    each = lora_parameters_of(ins.packs.path(baseline.base), 1)
    return [
        Known("data.poison_rows", words, remedy, least=0, most=counts["poison"]),
        Known("data.rows", words, remedy, least=0, most=counts["all"]),
        Known("data.new_rows", words, remedy, least=0, most=counts["all"]),
        parameters_per_row(each, least_rank(ins.settings, ins.policy), counts["all"], words, remedy),
    ]


def _guarded(ins: Instruments, baseline: Baseline) -> list[Known]:
    """The wins that a smoke can run: all anchors but those that are rows whatever the recipe; set aside ones return."""
    judged = [t for t in ins.tasks.values() if t.bench in baseline.counted and t.split != Split.CANARY]
    won = {task_id for task_id, passed in ins.store.passed(baseline.live).items() if passed}
    wins, who = sum(task.task_id in won for task in judged), _who(baseline)
    aside = [t for t, word in ins.store.quarantines().items() if word.expires_at > utc_now() and t in won]
    most = _smoked_at_most(ins, baseline) + len(aside)
    words = f"only {most} of the {wins} wins of {who} are confirmed and not training rows"
    remedy = "take an organ that wins some of these tasks, easier tasks, or a policy that wants no guarded win"
    if not wins:
        words = f"{who} wins none of the {len(judged)} tasks, so there is no win to guard"
    elif not most:
        words = f"none of the {wins} wins of {who} is confirmed and free to be guarded"
        remedy = "see `autosurgeon anchors list` for why, or take easier tasks"
    return [
        Known("smoke.tried", words, remedy, least=0, most=most),
        Known("watch.anchors_tried", words, remedy, least=0, most=most),
    ]


def _smoked_at_most(ins: Instruments, baseline: Baseline) -> int:
    """Anchors that are no rows of the smallest dataset that a pass could have."""
    if ins.settings.loop.on_plateau == "widen":
        return len(baseline.anchors)
    bounds = clip(ins.settings.search, ins.policy)
    history = ins.store.ever_poison(before=_next_number(ins))
    smallest = Recipe(
        lr=ins.settings.organ.reference_lr,
        poison_share=bounds.spans["poison_share"].low,
        anchor_share=bounds.spans["anchor_share"].low,
    )
    taken = (
        len(rows_for(ins, smallest.model_copy(update={"parent": name}), pack, baseline, history, {}).anchor_ids)
        for name, pack in _parents(ins, baseline).items()
    )
    return len(baseline.anchors) - min(taken, default=0)


def _gains(ins: Instruments, baseline: Baseline) -> list[Known]:
    """What a bench can come to, at most and at least, against what live wins."""
    trial, who = empty_comparison(ins, baseline), _who(baseline)
    found = []
    for fact, reach in reach_of(trial).items():
        group = fact.partition(".")[0]
        if group not in ("gate", "total") or reach.most >= LARGEST:
            continue
        sizes = [t for t, split in trial.expected.items() if group == "total" or split == "gate"]
        failing = sum(not trial.live[task].passed for task in sizes if task in trial.live)
        place = "gate tasks" if group == "gate" else "counted tasks outside the canary"
        words = f"{who} fails only {failing} of the {len(sizes)} {place}"
        words = words if failing else f"{who} wins all {len(sizes)} {place}, so no gain can be shown"
        found.append(Known(fact, words, "add harder tasks", least=reach.least, most=reach.most))
        if fact == "gate.net":
            found.append(Known("gate.net_split", words, "add harder tasks", least=reach.least, most=reach.most))
        if fact == "total.gained":
            found += _luck(ins, int(reach.most), words)
    return found


def _luck(ins: Instruments, gains: int, words: str) -> list[Known]:
    """How unlikely to be luck gains can be, and the alpha of the next look, which later looks do not reach."""
    alpha = cost_of_look(ins, _next_number(ins))
    least = p_luck(log_e_gain([Pairs(won=ins.settings.statistics.samples)] * gains))
    spent = f"{words}, and the next look at the benches has an alpha of {alpha.spent:.2g} (statistics.alpha)"
    spent = spent if gains else words
    remedy = "add harder tasks, or begin another workspace from the live pack, with an alpha of its own"
    return [
        Known("total.gained_confirmed", words, "add harder tasks", least=0, most=gains),
        Known("total.p_luck", spent, remedy, least=least, most=1.0),
        Known("budget.alpha", spent, remedy, least=0.0, most=alpha.spent),
        Known("budget.alpha_left", spent, remedy, least=0.0, most=alpha.left + alpha.spent),
    ]


def _spent(ins: Instruments) -> list[Known]:
    """What only grows, and the policy may have a bound for."""
    number, hours = _next_number(ins), ins.store.stage_seconds() / 3600
    remedy = "the bound that the policy sets for the workspace is reached"
    return [
        Known("budget.passes", f"the next pass is number {number}", remedy, least=number),
        Known("budget.hours", f"stages took {hours:.2f} hours so far", remedy, least=hours),
    ]


def _parents(ins: Instruments, baseline: Baseline) -> dict[str, str]:
    """The packs that a pass may train on, by name; before the first promotion both names are of one pack."""
    packs = {"base": baseline.base, "live": baseline.live}
    named = {packs[name]: name for name in clip(ins.settings.search, ins.policy).parents}
    return {name: pack for pack, name in named.items()}


def _next_number(ins: Instruments) -> int:
    newest = ins.store.last_passes(1)
    return newest[-1].number + 1 if newest else 1


def _who(baseline: Baseline) -> str:
    return "the base" if baseline.live == baseline.base else "the live pack"
