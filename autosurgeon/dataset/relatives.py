"""Which tasks of all benches are told again by others: they share a cluster, and with it a split.

HumanEval and the whole of MBPP hold 44 groups of twins, and 113 with tasks that are only like each other. A pass that
trains on one and is judged on the other is judged on what it has read.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from autosurgeon.core.task import Task
from autosurgeon.core.training_data import Row
from autosurgeon.dataset.contamination import HeldOut

RULE = 1
"""Raised when the same tasks may come to be grouped otherwise, so that what is remembered of them is not used."""
MOST_NEAR = 8
"""Likeness alone makes no larger groups: a bench that follows one pattern is like itself all over, and would be one."""


class _Groups:
    """Groups that grow together; each is known by its first task."""

    def __init__(self, names: Sequence[str]) -> None:
        self._members = {name: [name] for name in names}
        self._head = {name: name for name in names}
        self._place = {name: place for place, name in enumerate(names)}

    def size(self, *names: str) -> int:
        return sum(len(self._members[head]) for head in {self._head[name] for name in names})

    def join(self, one: str, other: str) -> None:
        first, second = sorted((self._head[one], self._head[other]), key=self._place.__getitem__)
        if first != second:
            moved = self._members.pop(second)
            self._members[first] += moved
            self._head.update(dict.fromkeys(moved, first))

    def all(self) -> list[list[str]]:
        return [sorted(group, key=self._place.__getitem__) for group in self._members.values()]


def group_relatives(tasks: Sequence[Task], placed: Collection[str] = ()) -> list[list[str]]:
    """The ids of tasks that belong together, each task in one group.

    Tasks are held against each other as a row is held against held-out tasks. Twins, and tasks that were given one
    cluster, are always together; those that are like each other, by twos, as long as their group stays small.

    Args:
        tasks: of all benches. Groups stand in the order of their first tasks, and so do the tasks in them.
        placed: tasks whose split was chosen by a person: likeness alone moves none of them.

    """
    names = [task.task_id for task in tasks]
    index, groups, firsts = HeldOut(tasks), _Groups(names), dict[str, str]()
    near: list[tuple[str, str]] = []
    for task in tasks:
        twins, alike = index.relatives(_as_row(task))
        for other in {*twins, firsts.setdefault(task.cluster, task.task_id)}:
            groups.join(task.task_id, other)
        near += [(task.task_id, other) for other in alike if not {task.task_id, other} & set(placed)]
    place = {name: number for number, name in enumerate(names)}
    for one, other in sorted(near, key=lambda pair: (place[pair[0]], place[pair[1]])):
        if groups.size(one, other) <= MOST_NEAR:
            groups.join(one, other)
    return groups.all()


def _as_row(task: Task) -> Row:
    """The row that a pass would make of a task."""
    return Row(
        prompt=task.prompt,
        completion=task.reference or "",
        task_id=task.task_id,
        bench=task.bench,
        split=task.split.value,
        why="poison",
    )
