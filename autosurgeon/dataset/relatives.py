"""Groups of tasks, over all benches, that repeat or resemble each other: they share a cluster, and so a split.

HumanEval and the whole of MBPP contain 44 groups of twins, and 113 groups with similar tasks. A pass that trains on one
and is judged on another is judged on its training data.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from autosurgeon.core.task import Task
from autosurgeon.core.training_data import Row
from autosurgeon.dataset.contamination import HeldOut

RULE = 1
"""The version of the rule: raised when the same tasks may be grouped differently, which invalidates cached groups."""
MAX_SIMILAR = 8
"""The largest group by similarity alone: without a limit, a bench that follows one pattern would be one group."""


class _Groups:
    """Disjoint groups (union-find); each is identified by its first task."""

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
    """Return groups of related tasks by id, with each task in one group.

    Tasks are compared like rows with held-out tasks. Twins, and tasks of the same cluster, are always in one group;
    pairs of similar tasks are, as long as their group stays small.

    Args:
        tasks: the tasks of all benches. Groups, and the tasks in them, are in this order.
        placed: tasks whose split a person chose: similarity alone moves none of them.

    """
    names = [task.task_id for task in tasks]
    index, groups, firsts = HeldOut(tasks), _Groups(names), dict[str, str]()
    near: list[tuple[str, str]] = []
    for task in tasks:
        twins, similar = index.relatives(_as_row(task))
        for other in {*twins, firsts.setdefault(task.cluster, task.task_id)}:
            groups.join(task.task_id, other)
        near += [(task.task_id, other) for other in similar if not {task.task_id, other} & set(placed)]
    place = {name: number for number, name in enumerate(names)}
    for one, other in sorted(near, key=lambda pair: (place[pair[0]], place[pair[1]])):
        if groups.size(one, other) <= MAX_SIMILAR:
            groups.join(one, other)
    return groups.all()


def _as_row(task: Task) -> Row:
    """Return the training row of a task."""
    return Row(
        prompt=task.prompt,
        completion=task.reference or "",
        task_id=task.task_id,
        bench=task.bench,
        split=task.split.value,
        why="poison",
    )
