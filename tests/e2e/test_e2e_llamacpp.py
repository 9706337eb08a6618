"""The lab's organ as a GGUF file, served by llama.cpp and benched in mode B, held against the pack itself."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from llamaserver import Difference, ServerAnswer, ask, complete_all, difference, serving
from transformers import AutoTokenizer
from typer.testing import CliRunner

from autosurgeon.bench.formats.native import write_tasks
from autosurgeon.bench.formats.read import read_tasks
from autosurgeon.bench.grade import Grader
from autosurgeon.bench.results import read_results
from autosurgeon.capsule.generate import generate
from autosurgeon.cli.main import app
from autosurgeon.config import shipped
from autosurgeon.core.answers import cut
from autosurgeon.core.jobs import GenerateJob
from autosurgeon.core.task import Task
from autosurgeon.packs.gguf_export import Dtype, export_gguf
from autosurgeon.packs.packstore import PackStore
from autosurgeon.sections import GradingSettings

pytest.importorskip("gguf")
pytest.importorskip("xllamacpp", reason="llama.cpp's wheel is not installed")

BASE = shipped("data", "lab", "base")
TASKS = [
    task for bench in ("lab-mbpp", "lab-humaneval") for task in read_tasks(shipped("data", "lab", f"{bench}.jsonl"))
]
SLICE = TASKS[::22]
MAX_NEW_TOKENS = 60
# Of two tokens that are nearer than this, arithmetic of another order or width may choose the other.
NEAR = {"f32": 1e-3, "bf16": 0.05}
TEXTS = [
    "def f(x):\n    return [x  *  2 for _ in range(10)]  # it's\n\n\n\tok\r\n",
    "  leading, trailing  ",
    "naïve café — 漢字 ١٢٣ 🙂 it'S 1234567",
    "<eos>x<pad> \n \n  y",
]


class Pack(NamedTuple):
    """A pack, and what it answers through the capsule's engine."""

    folder: Path
    digest: str
    answers: dict[str, str]


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    root = tmp_path_factory.mktemp("pack")
    packs = PackStore(root / "packs")
    digest = packs.import_checkpoint(BASE).digest
    rows = ({"task_id": task.task_id, "prompt": task.prompt, "stop": "function"} for task in SLICE)
    (root / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    job = GenerateJob(
        model=packs.path(digest), prompts=root / "prompts.jsonl", max_new_tokens=MAX_NEW_TOKENS, batch_rows=64
    )
    generate(job, root)
    lines = map(json.loads, (root / "completions.jsonl").read_text().splitlines())
    return Pack(packs.path(digest), digest, {row["task_id"]: row["completion"] for row in lines})


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(GradingSettings(workers=2)) as grader:
        yield grader


def passed(grader: Grader, answers: dict[str, str]) -> dict[str, bool]:
    graded: dict[str, Task] = {task.task_id: task for task in SLICE}
    grades = grader.stream((graded[name], text) for name, text in answers.items())
    return {name: grade.verdict == "pass" for name, grade in zip(answers, grades, strict=True)}


@pytest.mark.parametrize("dtype", ["bf16", "f32"])
def test_llama_cpp_wins_and_loses_the_tasks_that_the_pack_does_but_where_two_tokens_are_near(
    pack: Pack, grader: Grader, tmp_path: Path, dtype: Dtype
) -> None:
    export_gguf(pack.folder, pack.digest, tmp_path / "organ.gguf", dtype)
    with serving(tmp_path / "organ.gguf", pack.digest) as url:
        assert [model["id"] for model in ask(url, "/v1/models")["data"]] == [pack.digest]
        tokenizer = AutoTokenizer.from_pretrained(BASE)
        for text in (*TEXTS, *(task.prompt for task in SLICE)):
            request = {"content": text, "add_special": True, "parse_special": True}
            assert ask(url, "/tokenize", request)["tokens"] == tokenizer(text)["input_ids"]
        replies = complete_all(url, pack.digest, [task.prompt for task in SLICE], MAX_NEW_TOKENS)
        benched = bench_served(f"{url}/v1", pack.digest, tmp_path) if dtype == "f32" else None
    assert {one.model for one in replies} == {pack.digest}
    theirs = {task.task_id: cut(one.text, True) for task, one in zip(SLICE, replies, strict=True)}
    parted = {one.task_id: one for one in differences(pack, theirs, replies)}
    assert all(one.lead is not None and one.lead < NEAR[dtype] for one in parted.values()), parted
    assert len(parted) <= len(SLICE) // 5, parted
    own, served = passed(grader, pack.answers), passed(grader, theirs)
    assert 0 < sum(own.values()) < len(SLICE)
    assert {name for name in own if own[name] != served[name]} <= parted.keys()
    assert benched in (None, served)


def bench_served(url: str, digest: str, folder: Path) -> dict[str, bool]:
    """What the command line finds in mode B, by task."""
    (folder / "autosurgeon.toml").write_text(f"[organ]\nmax_new_tokens = {MAX_NEW_TOKENS}\n", encoding="utf-8")
    write_tasks(folder / "tasks.jsonl", SLICE)
    words = ["bench", "run", "--format", "native", "--tasks", "tasks.jsonl", "--out", "r.jsonl", "--url", url, "--json"]
    with contextlib.chdir(folder):
        done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    (run,) = json.loads(done.stdout)["runs"]
    assert run["verdict"] == "VALID"
    assert {name for bench in run["benches"] for name in bench["reported"]} == {digest}
    return {row.task_id: row.verdict == "pass" for row in read_results(folder / "r.jsonl")}


def differences(pack: Pack, theirs: dict[str, str], replies: list[ServerAnswer]) -> list[Difference]:
    compared = zip(SLICE, replies, strict=True)
    found = (difference(task, pack.answers[task.task_id], theirs[task.task_id], one) for task, one in compared)
    return [one for one in found if one is not None]
