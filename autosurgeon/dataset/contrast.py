"""Which anchors are contrast before others: those that earlier candidates lost, or what stands in for them. Pure."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from itertools import takewhile

from autosurgeon.dataset.failure_families import Groups

RECENT_PASSES = 10
"""How many passes back a loss counts: what has been kept for so long needs no place of its own among the rows."""

Losses = Mapping[str, Sequence[int]]
"""By anchor, the number of the pass for each occasion on which a candidate of it lost the anchor."""


def most_lost(losses: Losses) -> list[str]:
    """The lost anchors, that of the most passes first; of equals that of the most occasions, then the last lost."""
    return sorted(losses, key=lambda task: (-len(set(losses[task])), -len(losses[task]), -max(losses[task]), task))


def contrast_first(losses: Losses, wins: Collection[str], groups: Mapping[str, Groups], seed: int) -> tuple[str, ...]:
    """The anchors that shall be rows first: those that were lost, and after them what stands in for the others.

    A lost anchor that may be no row (of another split, hidden, or failed by the parent) has stand-ins: others of its
    family, those first that share more of its groups; one for each pass that lost it. They come last since it is tried
    in every smoke, and a row is not: its losses would soon outnumber those of what they drove out.

    Args:
        losses: of every split, hidden ones too; each with a loss at least.
        wins: the anchors that may be rows; no other is ever named.
        groups: of all these tasks.
        seed: of the draw among stand-ins that are equally near.

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
    """How many groups two tasks have in common, from the family down."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
