"""Test that a machine grades correctly: references have to pass before a bench and again after it."""

from __future__ import annotations

from collections.abc import Iterable

from autosurgeon.bench.grade import Grader
from autosurgeon.core.digest import digest_text
from autosurgeon.core.task import Task
from autosurgeon.errors import WorldError

MOST = 8


class Sanity:
    """References of a few tasks, graded before and after a bench; they count in no score."""

    def __init__(self, grader: Grader, tasks: Iterable[Task]) -> None:
        self._grader = grader
        known = {task.task_id: task for task in tasks if task.reference is not None}
        ids = sorted(known, key=lambda task_id: digest_text(f"autosurgeon.sanity/1:{task_id}"))
        self._tasks = [known[task_id] for task_id in ids[:MOST]]
        self._sound: list[Task] = []

    def before(self) -> None:
        """Grade them; WorldError when most fail, since then no score of this machine means anything."""
        grades = {task.task_id: self._grader.reference(task) for task in self._tasks}
        self._sound = [task for task in self._tasks if grades[task.task_id].verdict == "pass"]
        if len(self._sound) * 2 < len(self._tasks):
            task_id, grade = next((t, g) for t, g in grades.items() if g.verdict != "pass")
            raise WorldError(
                f"only {len(self._sound)} of {len(self._tasks)} references pass, so nothing that this machine grades "
                f"would count; {task_id}: {grade.cause or grade.verdict}: {grade.detail}"
            )

    def after(self) -> None:
        """Grade those that passed again; WorldError when one fails, since then something broke on the way."""
        for task in self._sound:
            grade = self._grader.reference(task)
            if grade.verdict != "pass":
                raise WorldError(
                    f"the reference of {task.task_id} passed before the bench and fails after it "
                    f"({grade.cause or grade.verdict}: {grade.detail}), so what was graded in between does not count; "
                    "a task that passes by chance belongs into its bench's quarantine, see `autosurgeon bench check`"
                )
