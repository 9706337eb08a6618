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
    return _tail(lost, lost + gained) / (1 << (lost + gained))


def p_difference(lost: int, gained: int) -> float:
    """Exact two-sided McNemar: how likely flips at least this uneven, either way, are between two equal packs.

    Twice the smaller tail, 1.0 at most; under 1/2 that is also the sum of all splits no likelier than the observed one.
    """
    return min(1.0, 2 * _tail(max(lost, gained), lost + gained) / (1 << (lost + gained)))


def p_luck(confirmed: int, tasks: int, samples: int) -> float:
    """How likely so many confirmed gains are where no task was really gained: 1.0 where none was confirmed.

    A gain is confirmed where the old pack fails its run and `samples` more, and the new one passes as many. A task that
    each passes with the same chance p does that with (p (1 - p))^(samples + 1), which is 4^-(samples + 1) at most,
    whatever p is; so the count is stochastically below Bin(tasks, 4^-(samples + 1)), and this is its upper tail. The
    tasks are taken as independent. ValueError for counts that cannot be.
    """
    if not 0 <= confirmed <= tasks or samples < 0:
        raise ValueError(f"confirmed gains lie between 0 and the tasks; got {confirmed} of {tasks}, {samples} samples")
    if confirmed == 0:
        return 1.0
    from scipy.special import bdtrc

    return float(bdtrc(confirmed - 1, tasks, 4.0 ** -(samples + 1)))


def _tail(least: int, flipped: int) -> int:
    """In how many of the 2^flipped ways at least so many flips are losses."""
    ways = total = comb(flipped, least)
    for k in range(least, flipped):
        # From one binomial to the next: `comb` anew for each takes 500 times as long where ten thousand flipped.
        ways = ways * (flipped - k) // (k + 1)
        total += ways
    return total
