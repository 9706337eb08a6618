"""Stand-ins for what is slow or of another world: capsules that obey a script, and a reporter that remembers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from autosurgeon.core.decision import Decision
from autosurgeon.core.jobs import (
    CompareJob,
    CompareResult,
    GenerateJob,
    GenerateResult,
    MergeJob,
    MergeResult,
    OpenJob,
    OpenResult,
    ReshapeJob,
    ReshapeResult,
    Result,
    TrainJob,
    TrainResult,
)
from autosurgeon.core.ports import OnProgress
from autosurgeon.core.recipe import Recipe
from autosurgeon.core.records import PassRecord
from autosurgeon.core.task import Task
from autosurgeon.core.tensorfile import padded_header
from autosurgeon.core.value import Value

Knows = Callable[[int, str], bool]
"""(generation of the weights, task id) -> whether the model of that generation solves the task."""

NEAR_TWINS = CompareResult(
    rows=1,
    tokens=10,
    kl=0.001,
    largest_kl=0.001,
    flips=0,
    flipped_rows=0,
    loss_a=0.3,
    loss_b=0.3,
    missing_tensors=(),
    foreign_tensors=(),
    reshaped_tensors=(),
)


@dataclass
class RecordingReporter:
    """Remembers every call."""

    lines: list[str] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    ended: list[PassRecord] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.lines.append(text)

    def pass_started(self, number: int, recipe: Recipe) -> None:
        self.lines.append(f"pass {number}")

    def stage_started(self, scope: str, name: str) -> None:
        self.stages.append(name.split("-")[0])

    def progress(self, done: int, total: int, note: str) -> None:
        pass

    def stage_ended(self, seconds: float) -> None:
        pass

    def decided(self, decision: Decision) -> None:
        self.decisions.append(decision)

    def pass_ended(self, record: PassRecord) -> None:
        self.ended.append(record)


@dataclass
class ScriptedCapsules:
    """Capsules without a model: weights carry a generation number, and `knows` decides what that generation solves.

    A training makes the next generation. `before` is called with each job, and may raise what the world would.
    """

    tasks: dict[str, Task]
    knows: Knows
    before: Callable[[Value], None] = lambda job: None
    reshaped: Callable[[int, ReshapeJob], int] = lambda generation, job: generation
    """The generation that a reshaped adapter is; where it is the same one, nothing was changed."""
    trained: int = 0
    compared: CompareResult = NEAR_TWINS
    jobs: list[Value] = field(default_factory=list)

    def warm_up(self) -> None:
        pass

    def close(self) -> None:
        pass

    def run(self, job: Value, workdir: Path, on_progress: OnProgress | None = None) -> Result:
        if isinstance(job, OpenJob):
            return OpenResult(architecture="scripted", parameters=0)
        self.before(job)
        self.jobs.append(job)
        workdir.mkdir(parents=True, exist_ok=True)
        if isinstance(job, TrainJob):
            return self._train(job, workdir)
        if isinstance(job, MergeJob):
            return self._merge(job, workdir)
        if isinstance(job, ReshapeJob):
            return self._reshape(job, workdir)
        if isinstance(job, CompareJob):
            return self.compared
        assert isinstance(job, GenerateJob)
        return self._generate(job, workdir)

    def _train(self, job: TrainJob, workdir: Path) -> TrainResult:
        self.trained += 1
        (workdir / "adapter").mkdir(exist_ok=True)
        (workdir / "adapter" / "adapter_model.safetensors").write_text(str(self.trained))
        return TrainResult(
            adapter="adapter",
            rows=len(job.rows.read_text().splitlines()),
            steps=1,
            epochs=float(job.epochs),
            tokens=1,
            trainable_parameters=1,
            loss=0.5,
            first_epoch_loss=0.6,
            loss_fraction=0.8,
            gradient_norm=1.0,
            stopped_by=None,
            epoch_losses=(0.6, *[0.5] * (job.epochs - 1)),
            kl_poison=0.05,
            anchor_loss_before=0.3,
            anchor_loss_after=0.31,
        )

    def _reshape(self, job: ReshapeJob, workdir: Path) -> ReshapeResult:
        before = int((job.adapters[0] / "adapter_model.safetensors").read_text())
        after = self.reshaped(before, job)
        (workdir / "adapter").mkdir(exist_ok=True)
        (workdir / "adapter" / "adapter_model.safetensors").write_text(str(after))
        return ReshapeResult(adapter="adapter", pairs=1, changed=int(before != after))

    def _merge(self, job: MergeJob, workdir: Path) -> MergeResult:
        folder = workdir / "model"
        folder.mkdir(exist_ok=True)
        generation = int((job.adapter / "adapter_model.safetensors").read_text())
        first, _ = padded_header([("generation", "BF16", (1,))])
        (folder / "model.safetensors").write_bytes(first + generation.to_bytes(2, "little"))
        for name in ("config.json", "tokenizer.json"):
            (folder / name).write_text("{}")
        return MergeResult(model="model", tensors=1, merged=1)

    def _generate(self, job: GenerateJob, workdir: Path) -> GenerateResult:
        if job.adapter is not None:
            generation = int((job.adapter / "adapter_model.safetensors").read_text())
        else:
            generation = int.from_bytes((job.model / "model.safetensors").read_bytes()[-2:], "little")
        prompts = [json.loads(line) for line in job.prompts.read_text().splitlines()]
        rows = []
        for prompt in prompts:
            task = self.tasks[prompt["task_id"]]
            known = self.knows(generation, task.task_id)
            text = task.reference if known else "def solve(x):\n    return 'wrong'\n"
            rows += [{"task_id": task.task_id, "sample": n, "completion": text} for n in range(job.samples)]
        (workdir / "completions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return GenerateResult(completions="completions.jsonl", count=len(rows), tokens=1, fingerprint="scripted")
