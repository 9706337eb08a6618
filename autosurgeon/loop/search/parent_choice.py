"""Which parent a proposal trains on: one that leaves a failure to learn from, where there is one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from autosurgeon.core.recipe import Recipe
from autosurgeon.loop.baseline.baseline import Baseline
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.stages.choose_rows import rows_for
from autosurgeon.proposer.bounds import clip


def prefer_failing_parent(ins: Instruments, baseline: Baseline, number: int) -> Callable[[Recipe], Recipe]:
    """A function that gives a recipe another parent where its own fails no task that can be a training row.

    Without it the search would draw a live pack that has learned every row again and again, and each pass would be
    held before it is trained.

    Args:
        ins: the instruments.
        baseline: what the pass begins with.
        number: the pass's.

    """
    history = ins.store.ever_poison(before=number)
    parents = clip(ins.settings.search, ins.policy).parents
    packs = {"base": baseline.base, "live": baseline.live}

    @cache
    def has_failures(recipe: Recipe) -> bool:
        rows = rows_for(ins, recipe, packs[recipe.parent], baseline, history, {}).rows
        return any(row.why == "poison" for row in rows)

    def choose(recipe: Recipe) -> Recipe:
        # Any share of failures is at least one row, so that one recipe answers for all of a parent.
        for name in (recipe.parent, *parents):
            if has_failures(Recipe(lr=ins.settings.organ.reference_lr, parent="base" if name == "base" else "live")):
                return recipe if name == recipe.parent else recipe.model_copy(update={"parent": name})
        return recipe

    return choose
