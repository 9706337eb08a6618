"""Rows of a capsule's jobs, in the form in which the organ is asked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from autosurgeon.core.chat import Chat, answer, question
from autosurgeon.core.task import Task
from autosurgeon.sections import OrganSettings


def chat_of(organ: OrganSettings) -> Chat | None:
    """Return how the organ is asked; None for text to complete. The setting `auto` is resolved when it is opened."""
    return Chat(system=organ.system_prompt) if organ.prompt == "chat" else None


def taught(task: Task, chat: Chat | None) -> dict[str, str]:
    """Return prompt and completion of a task with a reference."""
    if chat is not None:
        return {"prompt": question(task), "completion": answer(task)}
    assert task.reference is not None  # the caller leaves out tasks without one
    return {"prompt": task.prompt, "completion": task.reference}


def reference_rows(tasks: Iterable[Task], chat: Chat | None) -> str:
    """Return JSONL with a row for each task that has a reference."""
    return "".join(json.dumps(taught(task, chat)) + "\n" for task in tasks if task.reference)


def rows_in_form(rows: str, tasks: Mapping[str, Task], chat: Chat | None) -> str:
    """Return a dataset's JSONL in the form in which its tasks are asked; the rows keep their other fields."""
    if chat is None:
        return rows
    known = [json.loads(line) for line in rows.splitlines()]
    return "".join(json.dumps(row | taught(tasks[row["task_id"]], chat)) + "\n" for row in known)
