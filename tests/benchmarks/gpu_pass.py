"""A whole pass of the incident's size through the real runner and capsules, seconds per stage, cold and warm.

    python tests/benchmarks/gpu.py --parts pass [--tiny]

The organ's weights are random and it never stops before its last token: the worst case of generation. Its answers are
graded for real where there is a sandbox. A pass goes as the loop takes it; of the anchors in its smoke two are tried
again three times, and ten gains are borne out by eight samples of both packs.
"""

from __future__ import annotations

import importlib.util
import json
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerFast

from autosurgeon.bench.envelopes import Answer, grade_answers
from autosurgeon.bench.formats.read import read_tasks
from autosurgeon.bench.grade import Grader
from autosurgeon.core.envelope import ORGAN, Condition, Mode
from autosurgeon.core.jobs import CompareJob, MergeJob, MergeResult, TrainJob, TrainResult
from autosurgeon.core.pack import Lineage
from autosurgeon.core.recipe import Quantization
from autosurgeon.core.task import Split, Task
from autosurgeon.loop.stages.generate_answers import Model, Sampling, complete
from autosurgeon.packs.packstore import PackStore
from autosurgeon.runner.capsules import Capsules
from autosurgeon.sections import CapsuleSettings, GradingSettings, OrganSettings

LAB = Path(__file__).resolve().parents[2] / "data" / "lab"
TINY_SHAPE = {
    "vocab_size": 1024,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "tie_word_embeddings": True,
    "max_position_embeddings": 2048,
}
EDGY, GAINED, COMPARED = 2, 10, 32


class Size(NamedTuple):
    """How much a pass does."""

    rows: int
    row_tokens: tuple[int, int]
    tasks: int | None
    """Of each bench; None takes all: 264 together."""
    prompt_tokens: tuple[int, int]
    new_tokens: int
    anchors: int
    train_batch_rows: int
    generate_batch_rows: int


INCIDENT = Size(306, (90, 420), None, (60, 300), 512, 40, 64, 264)
TINY = Size(12, (20, 60), 12, (20, 40), 8, 6, 4, 16)


class Theatre:
    """What the passes need, and the seconds that each stage took."""

    def __init__(self, organ: Path, size: Size, root: Path) -> None:
        self.size, self.root = size, root
        self.seconds: dict[str, float] = defaultdict(float)
        self.tokens: dict[str, int] = defaultdict(int)
        self.jobs: dict[str, int] = defaultdict(int)
        self.packs = PackStore(root / "packs")
        self.base = self.packs.import_checkpoint(organ).digest
        self.organ = OrganSettings(max_new_tokens=size.new_tokens, generate_batch_rows=size.generate_batch_rows)
        self.capsules = Capsules(CapsuleSettings(memory_gib=64), root / "home")
        self.grader = Grader(GradingSettings())
        tokenizer, rng = PreTrainedTokenizerFast.from_pretrained(organ), random.Random(0)
        lab = [
            task for bench in ("lab-humaneval", "lab-mbpp") for task in read_tasks(LAB / f"{bench}.jsonl")[: size.tasks]
        ]
        texts = [task.prompt + (task.reference or "") for task in lab]

        def text(tokens: int) -> str:
            ids: list[int] = []
            while len(ids) < tokens:
                ids += tokenizer(rng.choice(texts))["input_ids"]
            return str(tokenizer.decode(ids[:tokens]))

        def comment(tokens: int) -> str:
            return "".join(f"# {line}\n" for line in text(tokens).splitlines())

        # The lab's prompts are short; those of the incident's benches are not.
        self.tasks = [
            task.model_copy(update={"prompt": comment(rng.randint(*size.prompt_tokens)) + task.prompt}) for task in lab
        ]
        self.rows = root / "rows.jsonl"
        halves = [rng.randint(*size.row_tokens) // 2 for _ in range(size.rows)]
        written = ({"prompt": text(half), "completion": text(half), "why": "poison"} for half in halves)
        self.rows.write_text("".join(json.dumps(row) + "\n" for row in written), encoding="utf-8")
        self._folders = 0

    def folder(self) -> Path:
        """A new one."""
        self._folders += 1
        folder = self.root / "work" / str(self._folders)
        folder.mkdir(parents=True)
        return folder

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add what the block takes to a stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - began
            self.seconds[stage] += took
            print(f"  {stage}: {took:.2f} s", flush=True)

    def verified(self, pack: str) -> Path:
        """The pack's folder, every byte read back, as before each of the loop's jobs."""
        with self.timed("verify packs"):
            self.packs.verify(pack)
        return self.packs.path(pack)

    def run(self, stage: str, job: Any, workdir: Path) -> Any:
        """A job by a capsule."""
        self.jobs[stage] += 1
        with self.timed(stage):
            return self.capsules.run(job, workdir)

    def ask(self, stage: str, model: Model, tasks: Sequence[Task], sampling: Sampling | None = None) -> None:
        """Generate, and grade where there is a sandbox."""
        self.jobs[stage] += 1
        with self.timed(stage):
            found = complete(
                self.capsules, self.organ, model, tasks, self.folder(), sampling or Sampling(), lambda *_: None
            )
        self.tokens[stage] += found.tokens
        if self.grader.level == "plain":
            return
        cond = Condition(
            mode=Mode.ORGAN_ALONE, pack=model.name, handler=ORGAN, fallback=False, fingerprint=found.fingerprint
        )
        with self.timed("grade"):
            grade_answers(
                self.grader, [Answer(task, text, cond) for task in tasks for text in found.texts[task.task_id]]
            )


def train(theatre: Theatre) -> Path:
    """NF4 where there is bitsandbytes; the adapter's folder."""
    size, workdir = theatre.size, theatre.folder()
    nf4 = importlib.util.find_spec("bitsandbytes") is not None
    job = TrainJob(
        base=theatre.verified(theatre.base).resolve(),
        rows=theatre.rows.resolve(),
        epochs=2,
        lr=1e-4,
        rank=16,
        alpha_ratio=2,
        quantization=Quantization.NF4 if nf4 else Quantization.NONE,
        batch_rows=size.train_batch_rows,
        max_tokens=512,
        seed=0,
        pack_tokens=20_480,
    )
    result = theatre.run(f"train {size.rows} rows x 2, {job.quantization.value}", job, workdir)
    assert isinstance(result, TrainResult)
    return workdir / result.adapter


def merge(theatre: Theatre, adapter: Path) -> str:
    """The pack's name."""
    workdir = theatre.folder()
    result = theatre.run("merge", MergeJob(base=theatre.verified(theatre.base).resolve(), adapter=adapter), workdir)
    assert isinstance(result, MergeResult)
    with theatre.timed("commit pack"):
        return theatre.packs.commit(workdir / result.model, Lineage()).digest


def compare(theatre: Theatre, stage: str, **sides: Any) -> None:
    """Two models on some of the rows."""
    lines = theatre.rows.read_text("utf-8").splitlines(keepends=True)[:COMPARED]
    rows = theatre.folder() / "rows.jsonl"
    rows.write_text("".join(lines), encoding="utf-8")
    theatre.run(stage, CompareJob(rows=rows, batch_rows=16, max_tokens=512, **sides), rows.parent / "compare")


def one_pass(theatre: Theatre) -> None:
    """From the rows to the watch."""
    tasks, anchors = theatre.tasks, theatre.tasks[: theatre.size.anchors]
    adapter = train(theatre).resolve()
    base = theatre.verified(theatre.base).resolve()
    adapted = Model("adapter", base, adapter)
    theatre.ask(f"smoke, {len(anchors)} anchors", adapted, anchors)
    for _ in range(3):
        theatre.ask(f"smoke, {EDGY} of them again", adapted, anchors[:EDGY])
    pack = merge(theatre, adapter)
    folder = theatre.verified(pack).resolve()
    compare(theatre, "adapter against pack", a=base, a_adapter=adapter, b=folder)
    batches = [
        [t for t in tasks if (t.split == Split.GATE) == gate and t.split != Split.CANARY] for gate in (True, False)
    ]
    canary = [task for task in tasks if task.split == Split.CANARY]
    for batch in filter(None, batches):
        theatre.ask(f"bench, {sum(map(len, batches))} problems", Model(pack, theatre.verified(pack)), batch)
    gained = tasks[:GAINED]
    for name in (pack, theatre.base):
        model = Model(name, theatre.verified(name))
        theatre.ask(f"confirm {len(gained)} gains", model, gained, Sampling(samples=8, temperature=0.4))
    compare(theatre, "pack against live", a=folder, b=base)
    if canary:
        theatre.ask(f"watch, {len(canary)} problems", Model(pack, theatre.verified(pack)), canary)


def pass_part(organ: Path, size: Size) -> None:
    """Two passes, and a table of both."""
    with tempfile.TemporaryDirectory() as root:
        theatre = Theatre(organ, size, Path(root))
        try:
            columns = []
            for _ in range(2):
                for counts in (theatre.seconds, theatre.tokens, theatre.jobs):
                    counts.clear()
                began = time.perf_counter()
                with theatre.timed("start, import torch"):
                    theatre.capsules._running_server()._get_ready()
                one_pass(theatre)
                columns.append({**theatre.seconds, "whole pass": time.perf_counter() - began})
        finally:
            theatre.capsules.close()
            theatre.grader.close()
    print(f"{'stage':32} {'jobs':>5} {'cold s':>8} {'warm s':>8} {'tokens/s':>9}")
    for stage, cold in columns[0].items():
        warm = columns[1][stage]
        rate = f"{theatre.tokens[stage] / warm:9.0f}" if stage in theatre.tokens else ""
        print(f"{stage:32} {theatre.jobs.get(stage) or '':>5} {cold:8.2f} {warm:8.2f} {rate}")
    if theatre.grader.level == "plain":
        print("grading left out: there is no sandbox here")
    print("goal: a whole pass under 60 s warm, on one H200", flush=True)
