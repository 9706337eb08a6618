"""The task manifest: what each task was when the base was measured, since one id has to mean one task."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from autosurgeon.bench.quarantine import read_quarantine
from autosurgeon.core.digest import digest_json
from autosurgeon.core.stage_results import PackBenchResult
from autosurgeon.core.task import Task
from autosurgeon.errors import UserError
from autosurgeon.loop.engine.instruments import Instruments

MOST_NAMED = 5


class Noted(NamedTuple):
    """A task as it was."""

    content: str
    """Digest of all that an answer is asked for and graded by."""
    split: str
    bench: str


def note(task: Task) -> Noted:
    """A task as it is; what it is called together with its relatives is no part of it."""
    return Noted(digest_json(task.model_dump(mode="json", exclude={"split", "cluster"}))[:16], task.split, task.bench)


def book_of(tasks: Iterable[Task]) -> dict[str, tuple[str, str, str]]:
    """By task id what is written down, as JSON, with the stage that measures the tasks."""
    notes = {task.task_id: note(task) for task in tasks}
    return {task_id: (noted.content, noted.split, noted.bench) for task_id, noted in notes.items()}


def refuse_changed_tasks(ins: Instruments) -> None:
    """UserError where a task has changed, has moved to another split, or is gone without a quarantine entry.

    Tasks that are new are measured. A bench that the settings no longer name is no longer run, and a task in its
    bench's quarantine file is left out: both are a person's word.
    """
    book = _read_book(ins)
    named = {task.bench for task in ins.tasks.values()}
    files = [bench.quarantine for bench in ins.settings.benches.values()]
    aside = {task_id for file in files if file is not None for task_id in read_quarantine(file)}
    changed = []
    for task_id, before in book.items():
        task = ins.tasks.get(task_id)
        if task is None:
            changed += [f"{task_id} is gone"] if before.bench in named and task_id not in aside else []
            continue
        now = note(task)
        if now.split != before.split:
            changed.append(f"{task_id} was in split {before.split} and is in {now.split}")
        elif now != before:
            changed.append(f"{task_id} is another task")
    if changed:
        more = f" and {len(changed) - MOST_NAMED} more" if len(changed) > MOST_NAMED else ""
        raise UserError(
            "the benches are not what this workspace was begun with, so old and new results do not compare",
            got=", ".join(changed[:MOST_NAMED]) + more,
            wanted="the old files and settings, a quarantine file for what is left out, or another --workspace",
            where=ins.workspace.root,
        )


def _read_book(ins: Instruments) -> dict[str, Noted]:
    """What was written down whenever the base was measured; nothing by workspaces from before that was done."""
    base = ins.store.base_pack()
    if base is None:
        return {}
    scope, book = f"pack-{base[:12]}", dict[str, Noted]()
    for stage in ins.store.stages(scope):
        if stage.name.startswith("bench-"):
            result = ins.store.stage_result(scope, PackBenchResult, stage.name)
            book |= {task_id: Noted(*noted) for task_id, noted in (result.book if result else {}).items()}
    return book
