"""Generation by the lab's real base, and where a function ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autosurgeon.bench.formats.read import read_tasks
from autosurgeon.capsule.generate import generate
from autosurgeon.capsule.stops import cut
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


def test_a_batch_answers_as_one_prompt_at_a_time(tmp_path: Path) -> None:
    assert completions(tmp_path / "batch") == completions(tmp_path / "single", batch_rows=1)


def test_answers_come_in_the_order_of_the_prompts(tmp_path: Path) -> None:
    assert [task_id for task_id, _ in completions(tmp_path, batch_rows=5)] == [task_id for task_id, _ in PROMPTS]


def test_sampling_gives_as_many_answers_as_asked_and_the_same_ones_for_the_same_seed(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("completion", "kept"),
    [
        ("    return 1\nprint(solve(2))\n", "    return 1\n"),
        ("    return 1\n\n\ndef other():\n    pass\n", "    return 1\n\n\n"),
        ("    x = [\n        1,\n]\n    return x\nclass A: pass\n", "    x = [\n        1,\n]\n    return x\n"),
        ("def solve(x):\n    return x\nsolve(1)\n", "def solve(x):\n    return x\n"),
        ("import math\ndef solve(x):\n    return x\nsolve(1)\n", "import math\ndef solve(x):\n    return x\n"),
        (
            "    return 1\n# a comment at the margin\n    # more\n",
            "    return 1\n# a comment at the margin\n    # more\n",
        ),
        ("    return 1", "    return 1"),
        ("", ""),
    ],
)
def test_a_function_ends_at_its_first_dedent(completion: str, kept: str) -> None:
    assert cut(completion, stops_at_dedent=True) == kept
    assert cut(completion, stops_at_dedent=False) == completion


@pytest.mark.parametrize(
    ("completion", "kept"),
    [
        ("def helper(x):\n    return x\n\ndef solve(x):\n    return helper(x)\nassert 1\n", -9),
        ("class Pair:\n    pass\nclass solve:\n    def of(self):\n        return 1\nprint()\n", -8),
        ("import math\ndef solve(x):\n    return x\ndef other():\n    pass\n", -22),
        ("def solver(x):\n    return x\nprint(solver(1))\n", None),
        ("def solve(\n    x,\n):\n    return x\nsolve(1)\n", -9),
    ],
)
def test_a_function_with_a_name_ends_where_it_ends_and_not_where_its_helpers_do(
    completion: str, kept: int | None
) -> None:
    assert cut(completion, stops_at_dedent=True, name="solve") == completion[:kept]
