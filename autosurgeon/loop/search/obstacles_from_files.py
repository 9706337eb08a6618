"""What the files alone show of every pass: splits, rows, recipes and shapes, before anything is measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from autosurgeon.config import Settings
from autosurgeon.core.envelope import ORGAN
from autosurgeon.core.recipe import Mix
from autosurgeon.core.task import Split, Task
from autosurgeon.lab.dispatcher import Dispatcher
from autosurgeon.policy.facts import SLICE
from autosurgeon.policy.obstacles import Known, Obstacle, obstacles
from autosurgeon.policy.promotion import SPLITS
from autosurgeon.policy.reach import names_in_rule
from autosurgeon.policy.schema import Policy
from autosurgeon.proposer.bounds import AS_SHIPPED, Bounds, clip
from autosurgeon.sections import SearchSettings

MORE_TASKS = "add tasks or take more rows of a bench: 60 % of tasks fall into surgery, 20 % gate, 10 % dev, 10 % canary"
GATE_FACTS = ("lost", "gained", "net", "net_split", "p_regression", "e_regression")
TOTALS = ("lost", "gained", "net", "gained_per_lost", "p_regression", "p_gain", "gained_confirmed", "p_luck")
NF4_FACTS = ("merge.kl_nf4", "merge.flips_nf4", "merge.kl_bf16", "merge.flips_bf16")


class Outlook(NamedTuple):
    """What stands in the way of every pass, and what is worth knowing all the same."""

    obstacles: tuple[Obstacle, ...]
    """Nothing where a pass could be accepted."""
    rows: int
    """Training rows that there can be at most."""
    tasks: Mapping[Split, int]
    """Counted tasks by split."""

    @property
    def notes(self) -> list[str]:
        """What keeps no pass from being accepted, and makes a night worse."""
        if self.tasks.get(Split.DEV):
            return []
        return ["no counted task is in the dev split, so the search learns nothing of how well a pass did"]


def counted_by_route(tasks: Mapping[str, Task], dispatcher: Dispatcher) -> tuple[str, ...]:
    """The benches that will count: those of which the organ answers every prompt."""
    leaking = {task.bench for task in tasks.values() if dispatcher.route(task.prompt) != ORGAN}
    return tuple(sorted({task.bench for task in tasks.values()} - leaking))


def read_outlook(
    settings: Settings,
    policy: Policy,
    tasks: Mapping[str, Task],
    counted: Collection[str],
    parameters: int | None,
) -> Outlook:
    """What the files alone show; nothing is measured.

    Args:
        settings: of the workspace.
        policy: in force.
        tasks: by id.
        counted: the benches that count.
        parameters: of an adapter of rank 1 on the organ; None where the organ is not at hand.

    Raises:
        UserError: the policy leaves nothing of the search.

    """
    ours = [task for task in tasks.values() if task.bench in counted]
    facts = known_from_files(settings, policy, ours, parameters)
    return Outlook(
        obstacles=obstacles(policy, facts), rows=len(usable(ours)), tasks=Counter(task.split for task in ours)
    )


def known_from_files(
    settings: Settings, policy: Policy, tasks: Collection[Task], parameters: int | None
) -> list[Known]:
    """What is known of every pass by the tasks of the benches that count, the settings and the organ's shapes."""
    if not tasks:
        words = "no bench counts, since another handler than the organ answers prompts of each"
        remedy = "repair the route, as `autosurgeon status` shows"
        return [Known("targets.benches", words, remedy, equals=0), Known("bench.tasks", words, remedy, equals=0)]
    return [
        *_of_rows(tasks, parameters or 0, least_rank(settings, policy)),
        *_of_recipes(settings, policy),
        *_of_splits(tasks),
        *_of_slices(policy, tasks),
        *_of_packing(settings),
    ]


def usable(tasks: Iterable[Task]) -> list[Task]:
    """The tasks that can be training rows."""
    return [task for task in tasks if task.split == Split.SURGERY and task.reference]


def _of_rows(tasks: Collection[Task], parameters: int, rank: float) -> list[Known]:
    surgery, most = sum(task.split == Split.SURGERY for task in tasks), len(usable(tasks))
    words = f"only {most} tasks can be training rows: those of the surgery split with a reference"
    remedy = MORE_TASKS
    if not surgery:
        words = "no task of a bench that counts is in the surgery split, so no failure can be a training row"
    elif not most:
        words = f"none of the {surgery} tasks of the surgery split has a reference, so no failure can be a training row"
        remedy = "give the tasks references"
    return [
        *(Known(f"data.{name}", words, remedy, least=0, most=most) for name in ROW_COUNTS),
        parameters_per_row(parameters, rank, most, words, remedy),
    ]


ROW_COUNTS = ("poison_rows", "rows", "new_rows", "anchor_rows")


def parameters_per_row(each: int, rank: float, rows: int, words: str, remedy: str) -> Known:
    """The fewest parameters a row that an adapter can have."""
    fact = "recipe.parameters_per_row"
    if not rows:
        return Known(fact, words, remedy, missing=True)
    least = each * rank / rows
    words = f"an adapter of rank {rank:g} has {least:.0f} parameters for each of the {rows} rows that there can be"
    return Known(fact, words, "take more tasks, a lower search.rank, or a policy that allows it", least=least)


def least_rank(settings: Settings, policy: Policy) -> float:
    """The lowest rank that a proposal is brought down to, as `rank_cap.cap_rank` does."""
    return 1 if settings.search.rank == AS_SHIPPED.rank else clip(settings.search, policy).spans["rank"].low


def _of_recipes(settings: Settings, policy: Policy) -> list[Known]:
    """What the proposer draws; nothing of the spans where a plateau may widen them."""
    bounds = clip(settings.search, policy)
    found = [
        _drawn("recipe.mix", Mix.POISON.value),
        _drawn("recipe.quantization", settings.organ.quantization),
        *([_drawn("recipe.parent", bounds.parents[0])] if len(bounds.parents) == 1 else []),
    ]
    if settings.loop.on_plateau != "widen":
        found += _of_spans(bounds, settings.search, least_rank(settings, policy))
    return found


def _drawn(fact: str, value: str) -> Known:
    return Known(fact, f"every recipe has {fact} = {value}", "let the policy allow it", equals=value)


def _of_spans(bounds: Bounds, search: SearchSettings, least_rank: float) -> list[Known]:
    found = []
    for name, span in bounds.spans.items():
        low, high = (min(least_rank, span.low) if name == "rank" else span.low), span.high
        words = f"every recipe has {name} from {low:g} to {high:g} (setting search.{name}, clipped to the policy)"
        remedy = f"change search.{name}, or the rule"
        found.append(Known(f"recipe.{name}", words, remedy, least=low, most=high))
    return found


def _of_splits(tasks: Collection[Task]) -> list[Known]:
    counts = Counter(task.split for task in tasks)
    judged = sum(counts[Split(split)] for split in SPLITS)
    found = [_at_most("bench.tasks", judged, f"only {judged} tasks of the benches that count are outside the canary")]
    found += _of_gate(counts[Split.GATE])
    if not judged:
        found += [Known(f"total.{name}", found[0].words, MORE_TASKS, missing=True) for name in TOTALS]
    words = f"only {judged} tasks can be guarded wins"
    found.append(_at_most("smoke.tried", judged, words))
    canary = counts[Split.CANARY]
    words = f"only {canary} tasks are in the canary split"
    if not canary:
        words = "no task of a bench that counts is in the canary split, so the watch would revert every promotion"
        found += [Known(f"watch.canary_{name}", words, MORE_TASKS, missing=True) for name in ("lost", "net")]
    else:
        found += [_at_most(f"watch.canary_{name}", canary, words, least=-canary) for name in ("lost", "net")]
    return [*found, Known("watch.canary_tasks", words, MORE_TASKS, equals=canary)]


def _of_gate(tasks: int) -> list[Known]:
    if tasks:
        words = f"only {tasks} tasks are in the gate split"
        return [_at_most(f"gate.{name}", tasks, words, least=-tasks) for name in ("tasks", "gained", "net")]
    words = "no task of a bench that counts is in the gate split, so no gain can be shown"
    missing = [Known(f"gate.{name}", words, MORE_TASKS, missing=True) for name in GATE_FACTS]
    return [*missing, Known("gate.tasks", words, MORE_TASKS, equals=0)]


def _at_most(fact: str, most: float, words: str, least: float = 0) -> Known:
    return Known(fact, words, MORE_TASKS, least=least, most=most)


def _of_slices(policy: Policy, tasks: Collection[Task]) -> list[Known]:
    """Facts of a bench and split that the policy names, and that has no tasks."""
    cells = Counter((task.bench, split) for task in tasks for split in (task.split.value, "all"))
    found = []
    for name in sorted({fact for rule in policy.rules for fact in names_in_rule(rule)}):
        named = SLICE.fullmatch(name)
        if named is not None and not cells[named["bench"], named["split"]]:
            words = f"bench {named['bench']!r} has no task in {named['split']!r} that counts, so {name} is never known"
            benches = ", ".join(sorted({task.bench for task in tasks}))
            found.append(Known(name, words, f"name a bench that counts in the policy: {benches}", missing=True))
    return found


def _of_packing(settings: Settings) -> list[Known]:
    if settings.organ.quantization != "none":
        return []
    words = "the organ is not quantized while it trains (organ.quantization), so {} is never known"
    remedy = "give the rule a `when` on recipe.quantization"
    return [Known(fact, words.format(fact), remedy, missing=True) for fact in NF4_FACTS]
