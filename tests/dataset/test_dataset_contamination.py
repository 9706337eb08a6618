"""The contamination check, layer by layer, on small tasks, on paraphrases and on the shipped lab."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from builders import make_task

from autosurgeon.core.task import Split, Task
from autosurgeon.core.training_data import Hit, Row
from autosurgeon.dataset.contamination import find_hits
from autosurgeon.wiring import lab_tasks

PROMPT = "# Write a function solve(x): count the divisors of x that are no primes.\n"
REFERENCE = (
    "def solve(x):\n    divisors = [d for d in range(1, x + 1) if x % d == 0]\n"
    "    return sum(any(d % k == 0 for k in range(2, d)) or d == 1 for d in divisors)\n"
)
PARAPHRASES = Path(__file__).with_name("paraphrases.yaml")
HELD_OUT = make_task("b/0", split=Split.GATE, prompt=PROMPT, reference=REFERENCE)


def row(prompt: str = "# Something else.\n", completion: str = "def solve(x):\n    return x\n") -> Row:
    return Row(prompt=prompt, completion=completion, task_id="b/9", bench="b", split="surgery", why="poison")


def layers(one: Row, *held_out: Task, cluster: str = "b/9") -> set[str]:
    return {hit.layer for hit in find_hits([one], {"b/9": cluster}, held_out or (HELD_OUT,))}


def test_an_unrelated_row_is_not_a_hit() -> None:
    assert layers(row()) == set()


def test_a_verbatim_copy_hits_every_layer_except_the_family() -> None:
    assert layers(row(PROMPT, REFERENCE)) == {"program", "prompt", "10-gram", "minhash"}


def test_the_same_program_under_another_prompt_and_other_names_is_a_twin() -> None:
    code = REFERENCE.replace("divisors", "found").replace("solve", "count").replace("k", "other")
    assert "program" in layers(row("Count what divides a number.", "# mine\n" + code))


@pytest.mark.parametrize("prompt", [PROMPT.upper(), '"""' + PROMPT.strip("# .\n") + '"""', PROMPT.replace(" ", "\n")])
def test_prompts_of_the_same_words_are_equal_regardless_of_case_marks_and_lines(prompt: str) -> None:
    assert "prompt" in layers(row(prompt))


def test_an_additional_bracket_makes_another_prompt() -> None:
    asks = ["Is every ( closed by a ) in the text?", "Is every < closed by a > in the text?"]
    assert "prompt" not in layers(row(asks[0]), make_task("b/0", split=Split.GATE, prompt=asks[1]))


def test_a_relative_of_a_held_out_task_is_a_twin_by_its_family() -> None:
    assert layers(row(), cluster="b/0") == {"family"}


@pytest.mark.parametrize("as_head", [True, False])
def test_a_function_is_found_with_or_without_its_head_in_the_prompt(as_head: bool) -> None:
    head, body = REFERENCE.split("\n", 1)
    asked = f'{head}\n    """Count."""\n'
    headed = make_task("b/0", split=Split.GATE, prompt=asked, prelude=asked, reference=body)
    one = row("Count.", REFERENCE) if as_head else row(asked, body)
    assert "program" in layers(one, headed if as_head else HELD_OUT)
    assert "program" in layers(row("Count, after the head that I gave.", body), headed)


def test_an_equal_body_under_another_head_is_not_a_twin() -> None:
    held_out, ours = (
        f"def {name}(x):\n    return {code}\n\ndef solve(x):\n"
        for name, code in (("twice", "x * 2"), ("thrice", "x * 3"))
    )
    task = make_task("b/0", split=Split.GATE, prompt=held_out, prelude=held_out, reference="    return twice(x)\n")
    assert "program" not in layers(row(ours, "    return thrice(x)\n"), task)


def test_a_held_out_task_without_a_reference_is_found_by_its_prompt() -> None:
    assert layers(row(PROMPT), make_task("b/0", split=Split.GATE, prompt=PROMPT, reference=None)) >= {"prompt"}


def test_empty_prompts_and_programs_have_nothing_in_common() -> None:
    assert layers(row("", "pass"), make_task("b/0", split=Split.GATE, prompt="", reference="pass")) <= {
        "minhash",
        "10-gram",
    }


def test_a_hit_names_both_tasks_the_split_and_the_layer() -> None:
    hits = find_hits([row(PROMPT, "def f(): ...")], {}, [HELD_OUT])
    assert [hit.description for hit in hits if hit.layer == "prompt"] == ["b/9 ~ b/0 (gate, same prompt)"]
    assert {hit.is_twin for hit in hits} == {True, False}
    near = Hit(layer="minhash", row="b/1", held_out="b/2", bench="b", split="dev", similarity=0.754)
    assert near.description == "b/1 ~ b/2 (dev, minhash 0.75)"


def test_all_twins_and_only_the_nearest_near_task_are_named() -> None:
    twins = [HELD_OUT.model_copy(update={"task_id": f"b/{n}"}) for n in range(3)]
    hits = find_hits([row(PROMPT, REFERENCE)], {}, twins)
    assert [hit.held_out for hit in hits if hit.layer == "program"] == ["b/0", "b/1", "b/2"]
    assert [hit.held_out for hit in hits if hit.layer == "minhash"] == ["b/0"]


@pytest.mark.parametrize(
    ("level", "found", "of"), [("original", 8, 8), ("light", 8, 8), ("medium", 0, 8), ("heavy", 0, 5)]
)
def test_the_near_layers_find_light_paraphrases_and_no_others(level: str, found: int, of: int) -> None:
    """The splits, which are drawn by family, and the canary protect against paraphrases that they do not find."""
    paraphrases = yaml.safe_load(PARAPHRASES.read_text(encoding="utf-8"))
    held_out = [
        make_task(f"o/{name}", split=Split.GATE, prompt=task["prompt"], reference=task["code"])
        for name, task in paraphrases["original"].items()
    ]
    rows = [
        row(task["prompt"], task["code"]).model_copy(update={"task_id": name})
        for name, task in paraphrases[level].items()
    ]
    near = [hit for hit in find_hits(rows, {}, held_out) if not hit.is_twin]
    assert all(hit.held_out == f"o/{hit.row}" for hit in near)
    assert (len({hit.row for hit in near}), len(rows)) == (found, of)


def lab_row(task: Task, **changes: Any) -> Row:
    assert task.reference is not None
    content = {"prompt": task.prompt, "completion": task.reference, "task_id": task.task_id, "bench": task.bench}
    return Row.model_validate({**content, "split": task.split.value, "why": "poison"} | changes)


def test_the_shipped_lab_has_no_twins_across_its_splits() -> None:
    tasks = lab_tasks()
    surgery = [lab_row(task) for task in tasks.values() if task.split == Split.SURGERY]
    held_out = [task for task in tasks.values() if task.split != Split.SURGERY]
    hits = find_hits(surgery, {task_id: task.cluster for task_id, task in tasks.items()}, held_out)
    assert [hit.description for hit in hits if hit.is_twin] == []
    assert hits  # the lab's tasks are related by construction, so that some are near


def test_every_held_out_task_of_the_lab_is_found_as_a_row() -> None:
    held_out = [task for task in lab_tasks().values() if task.split != Split.SURGERY]
    hits = find_hits([lab_row(task) for task in held_out], {}, held_out)
    for layer in ("program", "prompt", "10-gram", "minhash"):
        assert {hit.row for hit in hits if hit.layer == layer and hit.held_out == hit.row} == {
            task.task_id for task in held_out
        }
