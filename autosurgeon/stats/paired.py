"""Paired results of two packs on the same tasks: flips, exact tests, and the smallest loss that a test can call."""

from __future__ import annotations

from collections.abc import Mapping
from math import comb
from typing import NamedTuple


class Flips(NamedTuple):
    """The tasks whose results differ, in order of name; `tasks` counts the tasks that both packs ran."""

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
    """Return the p-value of the exact one-sided McNemar test: at least this many losses among the flips of equal packs.

    P(Bin(lost + gained, 1/2) >= lost); 1.0 without flips. McNemar 1947, in its exact binomial form.
    """
    return _tail(lost, lost + gained) / (1 << (lost + gained))


def p_difference(lost: int, gained: int) -> float:
    """Return the p-value of the exact two-sided McNemar test: flips at least this uneven, either way, of equal packs.

    It is twice the smaller tail, at most 1.0; below 1/2 that equals the sum of all splits that are no likelier.
    """
    return min(1.0, 2 * _tail(max(lost, gained), lost + gained) / (1 << (lost + gained)))


def smallest_called_loss(tasks: int, alpha: float) -> int | None:
    """Return the fewest losses without gains that `p_regression` calls at alpha; None if it calls not even all tasks.

    ValueError for a negative number of tasks, or unless 0 < alpha < 1.
    """
    if tasks < 0 or not 0 < alpha < 1:
        raise ValueError(f"tasks are counted from 0 and alpha lies between 0 and 1; got {tasks} and {alpha}")
    return next((lost for lost in range(1, tasks + 1) if p_regression(lost, 0) <= alpha), None)


def power_line(tasks: int, alpha: float) -> str:
    """Return one sentence on the smallest loss that a bench can see at best, without gains beside it."""
    loss = smallest_called_loss(tasks, alpha)
    if loss is None:
        return f"this bench of {tasks} tasks can see no loss at alpha {alpha:g}: not even all of its tasks"
    return f"this bench can see a loss of {loss} or more tasks"


def _tail(least: int, flipped: int) -> int:
    """Return in how many of the 2^flipped outcomes at least `least` flips are losses."""
    ways = total = comb(flipped, least)
    for k in range(least, flipped):
        # Each binomial follows from the previous one: `comb` for each takes 500 times as long at ten thousand flips.
        ways = ways * (flipped - k) // (k + 1)
        total += ways
    return total
