"""The benches of the settings: their files read, quarantined tasks left out, relatives of all benches in one split."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from autosurgeon.bench.formats.json_rows import read_rows
from autosurgeon.bench.formats.read import read_bench
from autosurgeon.bench.quarantine import read_quarantine
from autosurgeon.bench.splits import split_of
from autosurgeon.core.digest import digest_json
from autosurgeon.core.task import Split, Task
from autosurgeon.dataset.relatives import RULE, group_relatives
from autosurgeon.errors import UserError
from autosurgeon.sections import BenchSettings


def read_benches(benches: Mapping[str, BenchSettings], kept: Path | None = None) -> dict[str, Task]:
    """The tasks of every bench by id, in the order of the settings and of the files.

    Args:
        benches: by name.
        kept: folder in which the groups of relatives are remembered, since finding them takes seconds.

    Raises:
        UserError: a file that cannot be read, a task in two benches, or relatives whose files give them other splits.

    """
    tasks: dict[str, Task] = {}
    with_split: set[str] = set()
    for name, bench in benches.items():
        aside = read_quarantine(bench.quarantine) if bench.quarantine else {}
        for task in read_bench(bench.tasks, bench.format, name, first=bench.first, count=bench.count):
            if task.task_id in aside:
                continue
            if task.task_id in tasks:
                raise UserError(
                    "a task stands in two benches, and tasks are known by their ids",
                    got=f"{task.task_id} in {tasks[task.task_id].bench} and {name}",
                    wanted="one of the two benches, or other rows",
                    where=bench.tasks,
                )
            tasks[task.task_id] = task
        with_split |= _with_split(bench) if bench.format == "native" else set()
        if not any(task.bench == name for task in tasks.values()):
            raise UserError("every task of a bench is in quarantine", got=name, where=bench.quarantine)
    return _together(tasks, with_split, _groups(list(tasks.values()), with_split, kept))


def _with_split(bench: BenchSettings) -> set[str]:
    """The tasks whose rows name their split."""
    return {row.content["task_id"] for row in read_rows(bench.tasks) if "split" in row.content}


def _together(tasks: Mapping[str, Task], with_split: set[str], groups: Sequence[Sequence[str]]) -> dict[str, Task]:
    """The tasks with the cluster of their group's first one, and its split, unless a row of the group names one."""
    placed: dict[str, Task] = {}
    for group in groups:
        cluster = tasks[group[0]].cluster
        splits: dict[Split, str] = {tasks[task_id].split: task_id for task_id in group if task_id in with_split}
        if len(splits) > 1:
            one, other = list(splits.items())[:2]
            raise UserError(
                "two tasks are near relatives and stand in different splits, so one would be trained on and the other "
                "judged by",
                got=f"{one[1]} in {one[0]}, {other[1]} in {other[0]}",
                wanted="one split for both, or one of them taken out",
            )
        split = next(iter(splits), split_of(cluster))
        for task_id in group:
            placed[task_id] = tasks[task_id].model_copy(update={"cluster": cluster, "split": split})
    return {task_id: placed[task_id] for task_id in tasks}


def _groups(tasks: Sequence[Task], with_split: set[str], kept: Path | None) -> list[list[str]]:
    """The groups of relatives, remembered from an earlier start where the tasks are the same."""
    if kept is None:
        return group_relatives(tasks, with_split)
    content = [RULE, sorted(with_split), [task.model_dump(mode="json") for task in tasks]]
    path = kept / f"{digest_json(content)[:16]}.json"
    known = sorted(task.task_id for task in tasks)
    try:
        groups: list[list[str]] = json.loads(path.read_text(encoding="utf-8"))
        if sorted(task_id for group in groups for task_id in group) == known:
            return groups
    except (OSError, ValueError, TypeError):
        pass  # nothing remembered, or nothing that can be used: it is found anew
    groups = group_relatives(tasks, with_split)
    with contextlib.suppress(OSError):  # who may only read finds them anew each time
        kept.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(groups), encoding="utf-8")
        part.replace(path)
    return groups
