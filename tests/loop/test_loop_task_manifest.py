"""Results under one id are of one task: a workspace notices tasks that are others by now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from builders import make_task
from theatre import learns_most, small_theatre, small_world

from autosurgeon.bench.quarantine import write_quarantine
from autosurgeon.core.task import Split, Task
from autosurgeon.errors import UserError
from autosurgeon.loop.run_passes import run


def begun(root: Path) -> dict[str, Task]:
    with small_theatre(root, learns_most) as ins:
        run(ins)
    return small_world()


def refused(root: Path, tasks: dict[str, Task], **settings: Any) -> str:
    with small_theatre(root, learns_most, tasks=tasks, **settings) as ins, pytest.raises(UserError) as caught:
        run(ins)
    return str(caught.value)


def test_tasks_that_are_others_by_now_are_refused_by_name(tmp_path: Path) -> None:
    tasks = begun(tmp_path)
    tasks["b/gate-0"] = tasks["b/gate-0"].model_copy(update={"prompt": "# another prompt\n"})
    tasks["b/gate-1"] = tasks["b/gate-1"].model_copy(update={"split": Split.SURGERY})
    del tasks["b/gate-2"]
    message = refused(tmp_path, tasks)
    assert "b/gate-0 is another task, b/gate-1 was in split gate and is in surgery, b/gate-2 is gone" in message
    assert "quarantine" in message


def test_a_cluster_may_get_another_name(tmp_path: Path) -> None:
    tasks = begun(tmp_path)
    tasks["b/gate-0"] = tasks["b/gate-0"].model_copy(update={"cluster": "another one"})
    with small_theatre(tmp_path, learns_most, tasks=tasks) as ins:
        assert run(ins) == "passes"


def test_tasks_may_come_later_and_are_held_to_what_they_were_then(tmp_path: Path) -> None:
    tasks = begun(tmp_path)
    tasks["c/0"] = make_task("c/0", split=Split.GATE, prompt="# later\n", reference="def solve(x):\n    return +x\n")
    with small_theatre(tmp_path, learns_most, tasks=tasks) as ins:
        assert run(ins) == "passes"
        assert "c/0" in ins.store.envelopes(ins.store.base_pack() or "")
    tasks["c/0"] = tasks["c/0"].model_copy(update={"prompt": "# later still\n"})
    assert "c/0 is another task" in refused(tmp_path, tasks)


def test_what_a_person_sets_aside_may_go_and_so_may_a_whole_bench(tmp_path: Path) -> None:
    tasks = {task_id: task for task_id, task in begun(tmp_path).items() if task.bench == "b"}
    del tasks["b/gate-2"]
    shut, file = tmp_path / "shut.json", tmp_path / "tasks.jsonl"
    write_quarantine(shut, {"b/gate-2": "flaky"})
    benches = {"b": {"tasks": file, "quarantine": shut}}
    with small_theatre(tmp_path, learns_most, tasks=tasks, benches=benches) as ins:
        assert run(ins) == "passes"
