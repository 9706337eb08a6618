"""The distance of recipes in the search space, so that near-duplicates of a refused recipe are not trained again."""

from __future__ import annotations

import math
from collections.abc import Sequence

from autosurgeon.core.recipe import Recipe


def distance(one: Recipe, other: Recipe) -> float:
    """Return the Euclidean distance in the search space; infinite between parents, mixes and quantizations.

    The unit is a doubling of learning rate, rank or alpha ratio, one epoch, or a whole share. The distance does not
    depend on the spans of the settings, so that it does not change with them, nor on seeds, which are not searched.
    """
    if (one.parent, one.mix, one.quantization) != (other.parent, other.mix, other.quantization):
        return math.inf
    return math.hypot(
        # Differences of logarithms, because logarithms of quotients round differently when the two are swapped.
        math.log2(one.lr) - math.log2(other.lr),
        math.log2(one.rank) - math.log2(other.rank),
        math.log2(one.alpha_ratio) - math.log2(other.alpha_ratio),
        one.epochs - other.epochs,
        one.poison_share - other.poison_share,
        one.anchor_share - other.anchor_share,
    )


def nearest(recipe: Recipe, refused: Sequence[Recipe]) -> float:
    """Return the distance to the nearest refused recipe; infinite if there is none."""
    return min((distance(recipe, other) for other in refused), default=math.inf)
