"""Generation by the lab's real base, and the end of a function."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from autosurgeon.bench.formats.read import read_tasks
from autosurgeon.capsule.generate import generate
from autosurgeon.config import shipped
from autosurgeon.core.jobs import GenerateJob

BASE = shipped("data", "lab", "base")
PROMPTS = [(task.task_id, task.prompt) for task in read_tasks(shipped("data", "lab", "lab-humaneval.jsonl"))[:12]]


def completions(folder: Path, **changes: Any) -> dict[tuple[str, int], str]:
    folder.mkdir(exist_ok=True)
    path = folder / "prompts.jsonl"
    rows = [{"task_id": task_id, "prompt": prompt, "stop": "function"} for task_id, prompt in PROMPTS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    content: dict[str, Any] = {"model": BASE, "prompts": path, "max_new_tokens": 60, "batch_rows": 12}
    result = generate(GenerateJob.model_validate(content | changes), folder)
    with (folder / result.completions).open(encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    assert len(found) == result.count
    return {(row["task_id"], row["sample"]): row["completion"] for row in found}


def test_a_batch_has_the_same_answers_as_single_prompts(tmp_path: Path) -> None:
    assert completions(tmp_path / "batch") == completions(tmp_path / "single", batch_rows=1)


def test_answers_are_in_the_order_of_the_prompts(tmp_path: Path) -> None:
    assert [task_id for task_id, _ in completions(tmp_path, batch_rows=5)] == [task_id for task_id, _ in PROMPTS]


def test_sampling_returns_the_requested_number_of_answers_reproducibly_by_seed(tmp_path: Path) -> None:
    sampling = {"samples": 3, "temperature": 1.5, "seed": 5}
    once, again = completions(tmp_path / "a", **sampling), completions(tmp_path / "b", **sampling)
    assert len(once) == 3 * len(PROMPTS)
    assert once == again
    assert len(set(once.values())) > len(PROMPTS)


def test_the_layout_of_batches_is_in_the_fingerprint(tmp_path: Path) -> None:
    prints = set()
    for batch_rows in (4, 12):
        (tmp_path / "p.jsonl").write_text(
            json.dumps({"task_id": "t", "prompt": "def solve(xs):\n", "stop": "end"}) + "\n"
        )
        job = GenerateJob(model=BASE, prompts=tmp_path / "p.jsonl", max_new_tokens=2, batch_rows=batch_rows)
        prints.add(generate(job, tmp_path).fingerprint)
    assert len(prints) == 2
