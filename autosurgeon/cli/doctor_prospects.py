"""The prospects of a workspace for `doctor` and `init`: whether its files allow any pass to be accepted."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from autosurgeon.cli.checks import Check
from autosurgeon.cli.doctor_places import regular_file
from autosurgeon.errors import PackError, UserError

if TYPE_CHECKING:
    from autosurgeon.config import Settings
    from autosurgeon.loop.search.obstacles_from_files import Outlook

READ_S = 300.0
"""Deadline for files of tasks, which may be large."""


def check_prospects(root: Path, settings: Settings) -> Check:
    """Return a check that fails if no pass can be accepted."""

    def look() -> str:
        found, notes = prospects_of(root, settings)
        if not found:
            raise UserError("; ".join(notes))
        return "; ".join([found, *notes])

    return Check("prospects", look, READ_S)


def prospects_of(root: Path, settings: Settings) -> tuple[str, list[str]]:
    """Count the tasks that passes can train on and be judged by, and collect notes.

    The count's text is empty if no pass can be accepted; the notes then hold the causes.
    """
    from autosurgeon.core.task import Split

    regular_file(settings.policy_file, "policy")
    for name, bench in settings.benches.items():
        for file in filter(None, (bench.tasks, bench.quarantine)):
            regular_file(file, f"benches.{name}")
    outlook = _outlook(root, settings)
    if outlook.obstacles:
        return "", [f"no pass can be accepted: {obstacle}" for obstacle in outlook.obstacles]
    judging = (Split.DEV, Split.GATE, Split.CANARY)
    judged = ", ".join(f"{outlook.tasks.get(split, 0)} {split.value}" for split in judging)
    return f"a pass can be accepted: {outlook.rows} tasks can be training rows; {judged}", outlook.notes


def _outlook(root: Path, settings: Settings) -> Outlook:
    from autosurgeon.loop.search.obstacles_from_files import counted_by_route, read_outlook
    from autosurgeon.wiring import dispatcher_of, policy_at, tasks_in

    tasks = tasks_in(root, settings)
    counted = counted_by_route(tasks, dispatcher_of(settings))
    return read_outlook(settings, policy_at(root, settings.policy, {}), tasks, counted, _parameters(settings))


def _parameters(settings: Settings) -> int | None:
    """Count the parameters of an adapter of rank 1; None if the organ is not downloaded yet or invalid."""
    from autosurgeon.core.shapes import lora_parameters_of
    from autosurgeon.packs.hub import cached_checkpoint

    organ = settings.organ
    folder = cached_checkpoint(organ.hub, organ.revision) if organ.hub and organ.revision else settings.organ_folder
    with contextlib.suppress(PackError):
        return None if folder is None else lora_parameters_of(folder, 1)
    return None
