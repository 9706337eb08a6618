"""What a capsule is asked: where the answer to each kind of prompt ends."""

from __future__ import annotations

import json
from pathlib import Path

from builders import make_task
from fakes import ScriptedCapsules

from autosurgeon.core.chat import Chat, answer, question
from autosurgeon.core.task import Task
from autosurgeon.loop.stages.generate_answers import Model, Sampling, complete
from autosurgeon.loop.stages.job_rows import rows_in_form
from autosurgeon.sections import OrganSettings

HEAD = "def solve(x):\n"


def ends_of(tmp_path: Path, *tasks: Task) -> list[tuple[str, str, bool, list[str]]]:
    """(stop, name, continues, stops) of each prompt as it is written for the capsule."""
    (tmp_path / "model.safetensors").write_bytes(b"\0\0")
    capsules = ScriptedCapsules({task.task_id: task for task in tasks}, lambda generation, task_id: True)
    model = Model("m", tmp_path)
    complete(capsules, OrganSettings(), model, tasks, tmp_path / "asked", Sampling(), lambda done, total: None)
    rows = [json.loads(line) for line in (tmp_path / "asked" / "prompts.jsonl").read_text().splitlines()]
    return [(row["stop"], row["name"], row["continues"], row["stops"]) for row in rows]


def test_an_answer_ends_with_the_function_that_is_asked_for(tmp_path: Path) -> None:
    head = make_task("b/0", prompt=HEAD, prelude=HEAD, reference="    return x\n")
    whole = make_task("b/1")
    method = make_task("b/2", prelude="import math\n", entry_point="Solution.solve")
    program = make_task("b/3", kind="stdin", entry_point=None, reference="print(input())\n", stops=("# Test",))
    wanted = [
        ("function", "solve", True, []),
        ("function", "solve", False, []),
        ("function", "Solution", False, []),
        ("end", "", False, ["# Test"]),
    ]
    assert ends_of(tmp_path, head, whole, method, program) == wanted


def test_a_chat_asks_a_question_and_ends_with_the_block_of_its_function(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"\0\0")
    head = make_task("b/0", prompt=HEAD, prelude=HEAD, reference="    return x\n")
    program = make_task("b/1", kind="stdin", entry_point=None, reference="print(input())\n")
    known = {task.task_id: task for task in (head, program)}
    capsules = ScriptedCapsules(known, lambda generation, task_id: True)
    organ = OrganSettings(prompt="chat", system_prompt="Be brief.")
    complete(capsules, organ, Model("m", tmp_path), [head, program], tmp_path / "asked", Sampling(), lambda *_: None)
    rows = [json.loads(line) for line in (tmp_path / "asked" / "prompts.jsonl").read_text().splitlines()]
    assert [(row["stop"], row["name"]) for row in rows] == [("block", "solve"), ("block", "")]
    assert [row["prompt"] for row in rows] == [question(head), question(program)]


def test_rows_of_a_chat_teach_what_is_asked_and_keep_their_provenance() -> None:
    task = make_task("b/0", prompt=HEAD, prelude=HEAD, reference="    return x\n")
    rows = json.dumps({"prompt": HEAD, "completion": task.reference, "task_id": "b/0", "why": "poison"}) + "\n"
    assert rows_in_form(rows, {"b/0": task}, None) == rows
    taught = json.loads(rows_in_form(rows, {"b/0": task}, Chat()))
    assert taught == {"prompt": question(task), "completion": answer(task), "task_id": "b/0", "why": "poison"}
