"""Which anchors are contrast before others: those that earlier candidates lost, or what stands in for them. Pure."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from itertools import takewhile

from autosurgeon.dataset.families import Groups

RECENT_PASSES = 10
"""How many passes back a loss counts: what has been kept for so long needs no place of its own among the rows."""

Losses = Mapping[str, Sequence[int]]
"""By anchor, the number of the pass for each occasion on which a candidate of it lost the anchor."""


def most_lost(losses: Losses, wins: Collection[str]) -> list[str]:
    """The lost anchors, that of the most passes first.

    Of equals that of the most occasions, then the one lost last, then one that may be a row itself.
    """

    def rank(task_id: str) -> tuple[int, int, int, bool, str]:
        lost = losses[task_id]
        return -len(set(lost)), -len(lost), -max(lost), task_id not in wins, task_id

    return sorted(losses, key=rank)


def contrast_first(losses: Losses, wins: Collection[str], groups: Mapping[str, Groups], seed: int) -> tuple[str, ...]:
    """The anchors that shall be rows first.

    A lost anchor that may be no row (of another split, hidden, or failed by the parent) has stand-ins: others of its
    family, those first that share more of its groups; one for each pass that lost it.

    Args:
        losses: of every split, hidden ones too; each with a loss at least.
        wins: the anchors that may be rows; no other is ever named.
        groups: of all these tasks.
        seed: of the draw among stand-ins that are equally near.

    """
    rng = random.Random(f"contrast:{seed}")
    drawn = rng.sample(sorted(wins), len(wins))
    chosen: dict[str, None] = {}
    for task_id in most_lost(losses, wins):
        if task_id in wins:
            chosen[task_id] = None
            continue
        # Those that were lost themselves have their own turn.
        near = {t: _shared(groups[task_id], groups[t]) for t in drawn if t not in chosen and t not in losses}
        nearest = sorted((t for t in near if near[t]), key=lambda t: -near[t])
        chosen |= dict.fromkeys(nearest[: len(set(losses[task_id]))])
    return tuple(chosen)


def _shared(one: Groups, other: Groups) -> int:
    """How many groups two tasks have in common, from the family down."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
