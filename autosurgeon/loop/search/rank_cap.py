"""Cap a recipe's rank at what the policy allows for its rows: a refusal for the rank alone would cost a pass."""

from __future__ import annotations

import math
from collections.abc import Callable

from autosurgeon.core.recipe import Recipe
from autosurgeon.core.shapes import lora_parameters_of
from autosurgeon.loop.baseline.baseline import Baseline
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.stages.choose_rows import rows_for
from autosurgeon.policy.schema import Policy
from autosurgeon.proposer.bounds import AS_SHIPPED, binding

FACT = "recipe.parameters_per_row"


def cap_rank(ins: Instruments, baseline: Baseline, number: int) -> Callable[[Recipe], Recipe]:
    """What makes of a recipe the one of the highest rank, up to its own, that the policy lets pass on the rows it gets.

    A rank is halved down to 1, or to the low end of a span that somebody set; what is too much even then is for the
    policy to refuse.

    Args:
        ins: the instruments.
        baseline: what the pass begins with.
        number: the pass's.

    """
    most, search = _most(ins.policy), ins.settings.search
    if most == math.inf:
        return lambda recipe: recipe
    least = 1 if search.rank == AS_SHIPPED.rank else search.rank.low
    history = ins.store.ever_poison(before=number)

    def fit(recipe: Recipe) -> Recipe:
        parent = baseline.base if recipe.parent == "base" else baseline.live
        rows = len(rows_for(ins, recipe, parent, baseline, history, {}).rows)
        each = lora_parameters_of(ins.packs.path(parent), 1) / max(1, rows)
        rank = recipe.rank
        while each * rank > most and rank // 2 >= least:
            rank //= 2
        return recipe.model_copy(update={"rank": rank})

    return fit


def _most(policy: Policy) -> float:
    bounds = [float(rule.at_most) for rule in binding(policy) if rule.fact == FACT and rule.at_most is not None]
    return min(bounds, default=math.inf)
