"""Failures by family: the failures near existing wins, and the weights of families in the loss. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

WEIGHT_DIGITS = 6
"""Weights are rounded, because powers differ in their last bits between machines and the rows' digest must not."""

Groups = tuple[str, ...]
"""The groups of a task, from its family down to its cluster."""


def near_failures(failures: Collection[str], wins: Collection[str], groups: Mapping[str, Groups]) -> set[str]:
    """Return the failures that have a win as a neighbour; all failures if there is none.

    Neighbours share a family, and, of three or more groups, all but the last: a large family has some win from the
    start, so that the family alone would exclude nothing.

    Args:
        failures: the tasks that the parent fails.
        wins: the tasks of the same split that it passes; held-out tasks must not affect the choice of rows.
        groups: the groups of each of these tasks.

    """
    reached = {_neighbourhood(groups[task_id]) for task_id in wins}
    return {task_id for task_id in failures if _neighbourhood(groups[task_id]) in reached} or set(failures)


def _neighbourhood(groups: Groups) -> Groups:
    return groups[:-1] if len(groups) > 2 else groups[:1]


def family_weights(poison: Collection[str], groups: Mapping[str, Groups], evenness: float) -> dict[str, float]:
    """Return the weight of each poison row in the loss, 1 on average.

    Args:
        poison: the rows that the parent fails.
        groups: the groups of each of them.
        evenness: 0 gives rows equal weight, 1 families: (mean family size / size of the row's family) ** evenness.

    """
    if evenness == 0 or not poison:
        return dict.fromkeys(poison, 1.0)
    families = {task_id: groups[task_id][0] for task_id in poison}
    sizes = Counter(families.values())
    mean = len(poison) / len(sizes)
    raw = {family: (mean / size) ** evenness for family, size in sizes.items()}
    total = sum(raw[family] * sizes[family] for family in sorted(sizes))
    return {t: round(raw[families[t]] * len(poison) / total, WEIGHT_DIGITS) for t in poison}
