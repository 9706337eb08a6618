"""Capsules in which no model is: what a job reads and writes is as ever, what it finds is told by somebody else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from autosurgeon.core.jobs import (
    CompareJob,
    CompareResult,
    GenerateJob,
    GenerateResult,
    MergeJob,
    MergeResult,
    ReshapeJob,
    ReshapeResult,
    Result,
    TrainJob,
    TrainResult,
)
from autosurgeon.core.pack import ADAPTER_FILE
from autosurgeon.core.ports import OnProgress
from autosurgeon.core.value import Value
from autosurgeon.simulator.graded_answers import Told
from autosurgeon.simulator.weights import read_checkpoint, write_checkpoint

ADAPTER = "adapter"
"""As the loop looks for it; here it holds the state that a merge gives the pack."""


class Place(NamedTuple):
    """Where a job runs: the stage that wants it, and the folders below the stage's own."""

    scope: str
    stage: str
    below: tuple[str, ...]


class Mind(Protocol):
    """Somebody who knows what the jobs find; a state is what stands in the weights."""

    def begin(self, place: Place, job: Value) -> None:
        """A job begins; raises what the world would."""

    def train(self, place: Place, job: TrainJob, state: bytes, rows: Sequence[dict[str, Any]]) -> tuple[bytes, Value]:
        """The state after a training on those rows, and its result, whose adapter's folder is named `ADAPTER`."""

    def reshape(self, place: Place, job: ReshapeJob, parent: bytes, states: Sequence[bytes]) -> tuple[bytes, bool]:
        """The state of an adapter made of those of some states on a parent's, and whether it is another one."""

    def answer(self, place: Place, job: GenerateJob, state: bytes, tasks: Sequence[str]) -> dict[str, list[Told]]:
        """What the model of a state answers, `samples` to each task."""

    def fingerprint(self, place: Place, state: bytes) -> str:
        """Of the answers."""

    def tokens(self, place: Place, state: bytes, answers: int) -> int:
        """How many tokens so many answers have."""

    def compare(self, place: Place, a: bytes, b: bytes) -> CompareResult:
        """How far the model of one state is from the other's."""


class Modelless(NamedTuple):
    """What stands for an organ: a mind, the state of the base, and what a LoRA of rank 1 would have of parameters."""

    mind: Mind
    base: bytes
    adapted: int


class MindedCapsules:
    """A runner of capsules that asks a mind; stages stand below `passes` of the workspace."""

    def __init__(self, mind: Mind, passes: Path) -> None:
        """Run jobs of the stages below a folder."""
        self._mind = mind
        self._passes = passes.resolve()

    def warm_up(self) -> None:
        """Nothing to get ready."""

    def run(self, job: Value, workdir: Path, on_progress: OnProgress | None = None) -> Result:
        """Do what a capsule would with the files, and find what the mind says."""
        scope, stage, *below = workdir.resolve().relative_to(self._passes).parts
        place = Place(scope, stage, tuple(below))
        self._mind.begin(place, job)
        workdir.mkdir(parents=True, exist_ok=True)
        if isinstance(job, TrainJob):
            return self._train(place, job, workdir)
        if isinstance(job, GenerateJob):
            return self._generate(place, job, workdir)
        if isinstance(job, ReshapeJob):
            states = [_state_of(job.base, adapter) for adapter in job.adapters]
            state, changed = self._mind.reshape(place, job, read_checkpoint(job.base)[0], states)
            _write_adapter(workdir / ADAPTER, state)
            return ReshapeResult(adapter=ADAPTER, pairs=1, changed=int(changed))
        if isinstance(job, CompareJob):
            a, b = _state_of(job.a, job.a_adapter), _state_of(job.b, job.b_adapter)
            return self._mind.compare(place, a, b)
        assert isinstance(job, MergeJob)  # the loop asks for nothing else
        _, adapted = read_checkpoint(job.base)
        write_checkpoint(workdir / "model", (job.adapter / ADAPTER_FILE).read_bytes(), adapted)
        return MergeResult(model="model", tensors=1, merged=1)

    def _train(self, place: Place, job: TrainJob, workdir: Path) -> TrainResult:
        rows = [json.loads(line) for line in job.rows.read_text(encoding="utf-8").splitlines()]
        parent = read_checkpoint(job.base)[0]
        state, result = self._mind.train(place, job, parent, rows)
        _write_adapter(workdir / ADAPTER, state)
        assert isinstance(result, TrainResult)
        for checkpoint in result.checkpoints:
            # On the way, as much has changed as was read by then.
            share = min(1.0, checkpoint.epochs / result.epochs) if result.epochs else 0.0
            scaled = ReshapeJob(method="scale", base=job.base, adapters=(workdir / ADAPTER,), factor=share)
            _write_adapter(workdir / checkpoint.adapter, self._mind.reshape(place, scaled, parent, [state])[0])
        return result

    def _generate(self, place: Place, job: GenerateJob, workdir: Path) -> GenerateResult:
        state = _state_of(job.model, job.adapter)
        prompts = [json.loads(line) for line in job.prompts.read_text(encoding="utf-8").splitlines()]
        told = self._mind.answer(place, job, state, [prompt["task_id"] for prompt in prompts])
        lines = [
            json.dumps({"task_id": task_id, "sample": number, "completion": answer.text, "tokens": TOKENS}) + "\n"
            for task_id, answers in told.items()
            for number, answer in enumerate(answers)
        ]
        (workdir / "completions.jsonl").write_text("".join(lines), encoding="utf-8")
        fingerprint = self._mind.fingerprint(place, state)
        tokens = self._mind.tokens(place, state, len(lines))
        return GenerateResult(completions="completions.jsonl", count=len(lines), tokens=tokens, fingerprint=fingerprint)


TOKENS = 40
"""Of an answer and of a row's completion: the lab's have some 40 on average."""


def _write_adapter(folder: Path, state: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ADAPTER_FILE).write_bytes(state)


def _state_of(folder: Path, adapter: Path | None) -> bytes:
    return (adapter / ADAPTER_FILE).read_bytes() if adapter is not None else read_checkpoint(folder)[0]
