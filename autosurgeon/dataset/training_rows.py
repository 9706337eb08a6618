"""The choice of a pass's training rows. Pure: the same recipe, results and anchors give the same rows."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from autosurgeon.core.envelope import Envelope
from autosurgeon.core.recipe import Mix, Recipe
from autosurgeon.core.task import Split, Task
from autosurgeon.core.training_data import Dataset, Row, Why
from autosurgeon.dataset.contrast import Losses, contrast_first
from autosurgeon.dataset.failure_families import Groups, family_weights, near_failures
from autosurgeon.errors import UserError


class Focus(NamedTuple):
    """The levers on the choice of rows besides the recipe; the defaults have no effect."""

    groups: Mapping[str, Groups] = MappingProxyType({})
    """The groups of every task that is named here or may be a row."""
    losses: Losses = MappingProxyType({})
    """Anchors of any split that earlier candidates lost; they, or their substitutes, become contrast first."""
    near_only: bool = False
    """Whether only failures near a win may be rows."""
    family_weight: float = 0.0
    """The evenness of families in the loss, as in `family_weights`."""


NO_FOCUS = Focus()


def build_dataset(
    recipe: Recipe,
    tasks: Mapping[str, Task],
    parent: Mapping[str, Envelope],
    targets: Collection[str],
    anchors: Collection[str],
    history: Collection[str],
    *,
    won_since: Collection[str] = (),
    focus: Focus = NO_FOCUS,
) -> Dataset:
    """Choose the rows of a pass.

    Args:
        recipe: shares, mix and seed.
        tasks: the tasks of the surgery split, by id; only those with a reference can be rows.
        parent: the parent's envelopes by task id.
        targets: benches whose failures may be trained on.
        anchors: ids of confirmed wins.
        history: ids that were ever poison.
        won_since: the tasks that live passes. Failures of the history among them are rows regardless of the share,
            because a parent that is older than live must learn them again.
        focus: the levers.

    Raises:
        UserError: a task of another split is among the tasks; held-out tasks must not reach this function.

    """
    _refuse_held_out(tasks.values())
    rng = random.Random(f"rows:{recipe.seed}")
    usable = {name for name, task in tasks.items() if task.reference and task.bench in targets and name in parent}
    failures = {task_id for task_id in usable if not parent[task_id].passed}
    kept = failures & set(history) & set(won_since)
    won = {task_id for task_id in tasks if task_id in parent and parent[task_id].passed}
    near = near_failures(failures - kept, won | kept, focus.groups) if focus.near_only else failures
    fresh = sorted(near - kept)
    poison = kept | set(rng.sample(fresh, _part(len(fresh), recipe.poison_share)))
    wins = sorted(usable & set(anchors) - failures)
    contrast = _contrast(recipe, wins, len(poison), focus, rng)
    mastered: set[str] = set()
    if recipe.mix == Mix.UNION:
        poison |= near & set(history)
        mastered = usable & set(history) - failures - contrast
    rows = _rows(tasks, {"poison": poison, "anchor": contrast, "mastered": mastered}, focus)
    return Dataset(rows=rows, left_out=len(failures - kept - near))


def _contrast(recipe: Recipe, wins: list[str], poison: int, focus: Focus, rng: random.Random) -> set[str]:
    """Choose as many anchors as the recipe asks for: lost ones first, the rest at random."""
    count = _part(len(wins), min(1.0, recipe.anchor_share * poison / max(1, len(wins))))
    first = contrast_first(focus.losses, set(wins), focus.groups, recipe.seed)[:count]
    rest = [task_id for task_id in wins if task_id not in first]
    return {*first, *rng.sample(rest, count - len(first))}


def _refuse_held_out(tasks: Iterable[Task]) -> None:
    strays = sorted(task.task_id for task in tasks if task.split != Split.SURGERY)
    if strays:
        raise UserError(
            "held-out tasks were passed to the dataset",
            got=", ".join(strays[:3]) + (f" and {len(strays) - 3} more" if len(strays) > 3 else ""),
            wanted="tasks of the surgery split only",
        )


def _part(count: int, share: float) -> int:
    """Return the share of a count, rounded; at least one if there is any and the share is above zero."""
    return min(count, max(1, round(share * count))) if share > 0 else 0


def _rows(tasks: Mapping[str, Task], chosen: Mapping[Why, Collection[str]], focus: Focus) -> tuple[Row, ...]:
    """Return the rows of the chosen tasks, sorted by task id."""
    why: dict[str, Why] = {task_id: reason for reason, ids in chosen.items() for task_id in ids}
    weights = family_weights(sorted(chosen["poison"]), focus.groups, focus.family_weight)
    return tuple(_row(tasks[task_id], why[task_id], weights.get(task_id, 1.0)) for task_id in sorted(why))


def _row(task: Task, why: Why, weight: float) -> Row:
    assert task.reference is not None  # tasks without one are excluded
    return Row(
        prompt=task.prompt,
        completion=task.reference,
        task_id=task.task_id,
        bench=task.bench,
        split=task.split.value,
        why=why,
        weight=weight,
    )
