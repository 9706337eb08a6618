"""Paired results of two packs on the same tasks: flips, and how surprising they are."""

from __future__ import annotations

from collections.abc import Mapping
from math import comb
from typing import NamedTuple


class Flips(NamedTuple):
    """The tasks whose result differs, in order of name; `tasks` counts those that both packs ran."""

    lost: tuple[str, ...]
    gained: tuple[str, ...]
    tasks: int

    @property
    def net(self) -> int:
        """Gained minus lost."""
        return len(self.gained) - len(self.lost)


def flips(before: Mapping[str, bool], after: Mapping[str, bool]) -> Flips:
    """Compare two packs on the tasks that both ran."""
    both = sorted(before.keys() & after.keys())
    return Flips(
        lost=tuple(task for task in both if before[task] and not after[task]),
        gained=tuple(task for task in both if after[task] and not before[task]),
        tasks=len(both),
    )


def p_regression(lost: int, gained: int) -> float:
    """Exact one-sided McNemar: how likely at least this many losses are among the flips of two equal packs.

    P(Bin(lost + gained, 1/2) >= lost); 1.0 when nothing flipped. McNemar 1947, in its exact binomial form.
    """
    flipped = lost + gained
    return sum(comb(flipped, k) for k in range(lost, flipped + 1)) / (1 << flipped)
