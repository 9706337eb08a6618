"""What a capsule is asked: where the answer to each kind of prompt ends."""

from __future__ import annotations

import json
from pathlib import Path

from builders import make_task
from fakes import ScriptedCapsules

from autosurgeon.core.task import Task
from autosurgeon.loop.stages.generate_answers import Model, Sampling, complete
from autosurgeon.sections import OrganSettings

HEAD = "def solve(x):\n"


def ends_of(tmp_path: Path, *tasks: Task) -> list[tuple[str, str]]:
    """(stop, name) of each prompt as it is written for the capsule."""
    (tmp_path / "model.safetensors").write_bytes(b"\0\0")
    capsules = ScriptedCapsules({task.task_id: task for task in tasks}, lambda generation, task_id: True)
    model = Model("m", tmp_path)
    complete(capsules, OrganSettings(), model, tasks, tmp_path / "asked", Sampling(), lambda done, total: None)
    rows = [json.loads(line) for line in (tmp_path / "asked" / "prompts.jsonl").read_text().splitlines()]
    return [(row["stop"], row.get("name", "")) for row in rows]


def test_an_answer_ends_with_the_function_that_is_asked_for(tmp_path: Path) -> None:
    head = make_task("b/0", prompt=HEAD, prelude=HEAD, reference="    return x\n")
    whole = make_task("b/1")
    method = make_task("b/2", prelude="import math\n", entry_point="Solution.solve")
    program = make_task("b/3", kind="stdin", entry_point=None, reference="print(input())\n")
    wanted = [("function", ""), ("function", "solve"), ("function", "Solution"), ("end", "")]
    assert ends_of(tmp_path, head, whole, method, program) == wanted
