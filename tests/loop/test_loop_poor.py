"""Worlds with nothing to win, nothing to learn or nothing to judge by: each pass ends with a reason, none breaks."""

from __future__ import annotations

from pathlib import Path

import pytest
from theatre import first_half, small_theatre, small_world

from autosurgeon.core.pass_states import PassState
from autosurgeon.core.task import Split, Task
from autosurgeon.loop.run_passes import run

ROUTED = {"stdin_route": "organ"}


def only(*splits: Split) -> dict[str, Task]:
    return {task_id: task for task_id, task in small_world().items() if task.split in splits and task.bench == "b"}


def without_references() -> dict[str, Task]:
    return {task_id: task.model_copy(update={"reference": None}) for task_id, task in small_world().items()}


@pytest.mark.parametrize(
    ("tasks", "wins", "why"),
    [
        (small_world(), "none", "anchors-were-smoked: smoke.tried is 0"),
        (small_world(), "all", "something-to-learn: data.poison_rows is 0"),
        (small_world(), "half", "real-gain: gate.net is 0"),
        (only(Split.SURGERY), "half", "real-gain: gate.net is missing"),
        (only(Split.GATE, Split.DEV, Split.CANARY), "half", "something-to-learn: data.poison_rows is 0"),
        (without_references(), "half", "something-to-learn: data.poison_rows is 0"),
    ],
    ids=["no wins", "nothing fails", "nothing is learned", "surgery alone", "no surgery", "no references"],
)
def test_a_pass_in_a_poor_world_is_held_and_says_why(
    tmp_path: Path, tasks: dict[str, Task], wins: str, why: str
) -> None:
    knows = {"none": False, "all": True}

    def solves(generation: int, task_id: str) -> bool:
        return knows[wins] if wins in knows else first_half(task_id)

    with small_theatre(tmp_path, solves, tasks=tasks, lab=ROUTED) as ins:
        # What the scripted model answers comes from references that the loop may not have.
        ins.capsules.tasks = small_world()  # type: ignore[attr-defined]
        assert run(ins) == "passes"
        record = ins.store.get_pass(1)
        assert (record.state, why in record.reason) == (PassState.HELD, True), record.reason
