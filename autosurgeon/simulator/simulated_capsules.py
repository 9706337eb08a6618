"""Capsules without a model: jobs read and write the usual files, and a mind supplies their results."""

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
    OpenJob,
    OpenResult,
    ReshapeJob,
    ReshapeResult,
    Result,
    TrainJob,
    TrainResult,
)
from autosurgeon.core.pack import ADAPTER_FILE
from autosurgeon.core.ports import OnProgress
from autosurgeon.core.value import Value
from autosurgeon.simulator.graded_answers import Answer
from autosurgeon.simulator.weights import read_checkpoint, write_checkpoint

ADAPTER = "adapter"
"""The file of an adapter's weights; here it holds the state that a merge gives the pack."""


class Place(NamedTuple):
    """The place of a job: its stage, and the folders below the stage's folder."""

    scope: str
    stage: str
    below: tuple[str, ...]


class Mind(Protocol):
    """The source of the results of jobs; a state is the content of the weights."""

    def begin(self, place: Place, job: Value) -> None:
        """Begin a job; may raise the failure of the world."""

    def train(self, place: Place, job: TrainJob, state: bytes, rows: Sequence[dict[str, Any]]) -> tuple[bytes, Value]:
        """The state after a training on rows, and its result, whose adapter folder is named `ADAPTER`."""

    def reshape(self, place: Place, job: ReshapeJob, parent: bytes, states: Sequence[bytes]) -> tuple[bytes, bool]:
        """The state of an adapter combined from others on a parent, and whether it differs."""

    def answer(self, place: Place, job: GenerateJob, state: bytes, tasks: Sequence[str]) -> dict[str, list[Answer]]:
        """The answers of the model of a state, `samples` for each task."""

    def fingerprint(self, place: Place, state: bytes) -> str:
        """The fingerprint of the answers."""

    def tokens(self, place: Place, state: bytes, answers: int) -> int:
        """The number of tokens of a number of answers."""

    def compare(self, place: Place, a: bytes, b: bytes) -> CompareResult:
        """The comparison of the models of two states."""


class Modelless(NamedTuple):
    """A simulated organ: a mind, the state of the base, and the parameters of a LoRA of rank 1."""

    mind: Mind
    base: bytes
    adapted: int


class MindedCapsules:
    """A runner of capsules that uses a mind; the folders of stages are below `passes` of the workspace."""

    def __init__(self, mind: Mind, passes: Path) -> None:
        """Run jobs of the stages below a folder."""
        self._mind = mind
        self._passes = passes.resolve()

    def warm_up(self) -> None:
        """Do nothing."""

    def run(self, job: Value, workdir: Path, on_progress: OnProgress | None = None) -> Result:
        """Read and write the files of a capsule, with the mind's results."""
        if isinstance(job, OpenJob):
            return OpenResult(architecture="simulated", parameters=0)
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
        assert isinstance(job, MergeJob)  # the loop has no other jobs
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
            # A checkpoint has the part of the change that matches the rows read by then.
            share = min(1.0, checkpoint.epochs / result.epochs) if result.epochs else 0.0
            scaled = ReshapeJob(method="scale", base=job.base, adapters=(workdir / ADAPTER,), factor=share)
            _write_adapter(workdir / checkpoint.adapter, self._mind.reshape(place, scaled, parent, [state])[0])
        return result

    def _generate(self, place: Place, job: GenerateJob, workdir: Path) -> GenerateResult:
        state = _state_of(job.model, job.adapter)
        prompts = [json.loads(line) for line in job.prompts.read_text(encoding="utf-8").splitlines()]
        results = self._mind.answer(place, job, state, [prompt["task_id"] for prompt in prompts])
        lines = [
            json.dumps({"task_id": task_id, "sample": number, "completion": answer.text, "tokens": TOKENS}) + "\n"
            for task_id, answers in results.items()
            for number, answer in enumerate(answers)
        ]
        (workdir / "completions.jsonl").write_text("".join(lines), encoding="utf-8")
        fingerprint = self._mind.fingerprint(place, state)
        tokens = self._mind.tokens(place, state, len(lines))
        return GenerateResult(completions="completions.jsonl", count=len(lines), tokens=tokens, fingerprint=fingerprint)


TOKENS = 40
"""The tokens of an answer and of a row's completion: about the mean of the lab."""


def _write_adapter(folder: Path, state: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ADAPTER_FILE).write_bytes(state)


def _state_of(folder: Path, adapter: Path | None) -> bytes:
    return (adapter / ADAPTER_FILE).read_bytes() if adapter is not None else read_checkpoint(folder)[0]
