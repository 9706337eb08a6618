"""Failures by family: which of them are near to what is won already, and how families share the loss. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

WEIGHT_DIGITS = 6
"""Powers differ in their last bits from machine to machine, and the rows' digest must not."""


Groups = tuple[str, ...]
"""Of a task, from its family down to its cluster."""


def near_failures(failures: Collection[str], wins: Collection[str], groups: Mapping[str, Groups]) -> set[str]:
    """The failures that something won is a neighbour of; all of them where that would be none.

    Neighbours share a family, and all groups but the last where there are three or more: a family that large would have
    some win from the first day on, and no tail would be left out.

    Args:
        failures: what the parent fails.
        wins: what it passes, of the same split: what is held out must not say what is trained on.
        groups: of each of these tasks.

    """
    reached = {_neighbourhood(groups[task_id]) for task_id in wins}
    return {task_id for task_id in failures if _neighbourhood(groups[task_id]) in reached} or set(failures)


def _neighbourhood(groups: Groups) -> Groups:
    return groups[:-1] if len(groups) > 2 else groups[:1]


def family_weights(poison: Collection[str], groups: Mapping[str, Groups], evenness: float) -> dict[str, float]:
    """The weight of each poison row in the loss, 1 on average.

    Args:
        poison: the rows that the parent fails.
        groups: of each of them.
        evenness: 0 weighs each row alike, 1 each family: (mean family size / size of the row's) ** evenness.

    """
    if evenness == 0 or not poison:
        return dict.fromkeys(poison, 1.0)
    families = {task_id: groups[task_id][0] for task_id in poison}
    sizes = Counter(families.values())
    mean = len(poison) / len(sizes)
    raw = {family: (mean / size) ** evenness for family, size in sizes.items()}
    total = sum(raw[family] * sizes[family] for family in sorted(sizes))
    return {t: round(raw[families[t]] * len(poison) / total, WEIGHT_DIGITS) for t in poison}
