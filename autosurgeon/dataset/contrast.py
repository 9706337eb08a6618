"""The order of anchors as contrast rows: first those that earlier candidates lost, or their substitutes. Pure."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from itertools import takewhile

from autosurgeon.dataset.failure_families import Groups

RECENT_PASSES = 10
"""The number of passes for which a loss counts; an anchor that was kept for longer needs no preference."""

Losses = Mapping[str, Sequence[int]]
"""By anchor, the number of the pass for each occasion on which its candidate lost the anchor."""


def most_lost(losses: Losses) -> list[str]:
    """Return the lost anchors, by the number of passes, then the number of occasions, then the latest loss."""
    return sorted(losses, key=lambda task: (-len(set(losses[task])), -len(losses[task]), -max(losses[task]), task))


def contrast_first(losses: Losses, wins: Collection[str], groups: Mapping[str, Groups], seed: int) -> tuple[str, ...]:
    """Return the anchors that become rows first: lost anchors, then substitutes for lost anchors that cannot be rows.

    A lost anchor that cannot be a row (of another split, hidden, or failed by the parent) has substitutes: anchors of
    its family, first those that share more of its groups; one for each pass that lost it. Substitutes come last: the
    smoke tries such an anchor every time, but no row, so its losses would outnumber those of the anchors they displace.

    Args:
        losses: the losses of anchors of every split, including hidden ones; at least one each.
        wins: the anchors that may be rows; only these are returned.
        groups: the groups of all these tasks.
        seed: the seed of the draw among substitutes that are equally near.

    """
    order = most_lost(losses)
    chosen = dict.fromkeys(task_id for task_id in order if task_id in wins)
    drawn = random.Random(f"contrast:{seed}").sample(sorted(wins), len(wins))
    for task_id in order:
        if task_id not in wins:
            near = {t: _shared(groups[task_id], groups[t]) for t in drawn if t not in chosen}
            nearest = sorted((t for t in near if near[t]), key=lambda t: -near[t])
            chosen |= dict.fromkeys(nearest[: len(set(losses[task_id]))])
    return tuple(chosen)


def _shared(one: Groups, other: Groups) -> int:
    """Return the number of groups that two tasks share, from the family down."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
