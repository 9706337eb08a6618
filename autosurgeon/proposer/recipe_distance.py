"""How far two recipes lie apart in the searched space, so that a refused one is not trained again in other digits."""

from __future__ import annotations

import math
from collections.abc import Sequence

from autosurgeon.core.recipe import Recipe


def distance(one: Recipe, other: Recipe) -> float:
    """The Euclidean distance over what is searched; infinite between parents, mixes and quantizations.

    One is a doubling of learning rate, rank or alpha ratio, an epoch, or the whole of a share. It does not depend on
    the settings' spans, so that a refusal stays as near as it was when they change. Seeds are not looked at: the dice
    are no part of what is searched.
    """
    if (one.parent, one.mix, one.quantization) != (other.parent, other.mix, other.quantization):
        return math.inf
    return math.hypot(
        # Differences of logarithms and not logarithms of quotients, which round otherwise when the two change places.
        math.log2(one.lr) - math.log2(other.lr),
        math.log2(one.rank) - math.log2(other.rank),
        math.log2(one.alpha_ratio) - math.log2(other.alpha_ratio),
        one.epochs - other.epochs,
        one.poison_share - other.poison_share,
        one.anchor_share - other.anchor_share,
    )


def nearest(recipe: Recipe, refused: Sequence[Recipe]) -> float:
    """The distance to the nearest of the refused recipes; infinite where there is none."""
    return min((distance(recipe, other) for other in refused), default=math.inf)
