"""Completing prompts: base, adapter or pack, in batches of like length.

Greedy unless a temperature is given. A function ends at its first dedent, so a model that rambles on is neither waited
for nor graded for its ramblings.
"""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers

from autosurgeon.capsule.decode import Answer, Engine, Row
from autosurgeon.capsule.model_slot import ModelSlot, adapter_kind, model_kind
from autosurgeon.capsule.workdir import Progress, beat, read_jsonl, write_whole
from autosurgeon.core.digest import digest_json, digest_text
from autosurgeon.core.jobs import GenerateJob, GenerateResult

ENGINE = 5
"""Raised when the same weights may answer otherwise; part of the fingerprint."""


class Prompt(NamedTuple):
    """One prompt of the job, with its place in the job's order."""

    order: int
    task_id: str
    ids: list[int]
    stops_at_dedent: bool
    name: str


def _read_prompts(job: GenerateJob, tokenizer: Any) -> list[Prompt]:
    """The prompts, those of like length beside each other."""
    prompts = [
        Prompt(
            order, row["task_id"], tokenizer(row["prompt"])["input_ids"], row["stop"] == "function", row.get("name", "")
        )
        for order, row in enumerate(read_jsonl(job.prompts))
    ]
    return sorted(prompts, key=lambda prompt: (len(prompt.ids), prompt.order))


def _rows(job: GenerateJob, batch: list[Prompt]) -> list[Row]:
    """`samples` rows for each prompt; a row draws from a seed of its own, whichever batch it stands in."""

    def seed(prompt: Prompt, sample: int) -> int:
        return int(digest_text(f"{job.seed}:{prompt.task_id}:{sample}")[:15], 16)

    return [
        Row(prompt.ids, prompt.stops_at_dedent, seed(prompt, sample), prompt.name)
        for prompt in batch
        for sample in range(job.samples)
    ]


def fingerprint(job: GenerateJob, model: Any) -> str:
    """What a greedy answer depends on besides weights and prompt."""
    return digest_json(
        {
            "engine": ENGINE,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "device": torch.cuda.get_device_name() if model.device.type == "cuda" else model.device.type,
            "dtype": str(model.dtype),
            "batch_rows": job.batch_rows,
            "max_new_tokens": job.max_new_tokens,
            "temperature": job.temperature,
        }
    )[:16]


class Generator:
    """Runs one job after another; what the next one can use of the last one's stays in memory.

    Which numbers come out does not depend on what ran before: weights are copied anew for each job, and an engine is
    used again only where a fresh one would count alike.
    """

    def __init__(self) -> None:
        self._seat: ModelSlot | None = None
        self._engine: Engine | None = None

    def run(self, job: GenerateJob, workdir: Path) -> GenerateResult:
        """Write `completions.jsonl` in the order of the prompts, whole.

        Raises:
            PackError: there is no such checkpoint, or the adapter is incomplete.
            UserError: the prompts are missing or no JSON, or the model has layers that the engine does not know.

        """
        seat = self._be_seated(job)
        beat(workdir)
        prompts = _read_prompts(job, seat.tokenizer)
        answers: dict[tuple[int, int], tuple[str, Answer]] = {}
        progress = Progress(workdir, len(prompts))
        engine = self._ready_engine(job, seat, prompts) if prompts else None
        for start in range(0, len(prompts), job.batch_rows):
            assert engine is not None  # there are prompts
            batch = prompts[start : start + job.batch_rows]

            def show(ended: int, start: int = start) -> None:
                beat(workdir)
                progress.step(start + ended // job.samples)

            for index, answer in enumerate(engine.complete(_rows(job, batch), job.max_new_tokens, show)):
                prompt = batch[index // job.samples]
                answers[prompt.order, index % job.samples] = (prompt.task_id, answer)
            progress.step(start + len(batch))
        progress.close()
        _write(answers, workdir)
        return GenerateResult(
            completions="completions.jsonl",
            count=len(answers),
            tokens=sum(answer.tokens for _, answer in answers.values()),
            fingerprint=fingerprint(job, seat.model),
        )

    def _be_seated(self, job: GenerateJob) -> ModelSlot:
        """The job's model with its adapter on it, in the memory of the one before where it can be."""
        kind, of_adapter = model_kind(job.model), None if job.adapter is None else adapter_kind(job.adapter)
        if self._seat is not None and self._seat.takes(kind, of_adapter):
            self._seat.copy_in(job.model)
        else:
            self._seat = self._engine = None
            _free_memory()
            self._seat = ModelSlot(job.model, kind)
        if job.adapter is None or of_adapter is None:
            self._seat.take_off()
        else:
            self._seat.put_on(job.adapter, of_adapter)
        return self._seat

    def _ready_engine(self, job: GenerateJob, seat: ModelSlot, prompts: list[Prompt]) -> Engine:
        rows = min(job.batch_rows, len(prompts)) * job.samples
        slots = max(len(prompts[-1].ids), 2) + job.max_new_tokens
        if self._engine is None or not self._engine.takes(rows, slots):
            dedents = None if self._engine is None else self._engine.dedents
            self._engine = None
            _free_memory()
            self._engine = Engine(
                seat.model, seat.tokenizer, rows=rows, slots=slots, temperature=job.temperature, dedents=dedents
            )
        self._engine.turn_to(job.temperature, adapted=job.adapter is not None)
        return self._engine


def _free_memory() -> None:
    """Give back what is no longer named; what was recorded hangs in circles."""
    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()


def _write(answers: dict[tuple[int, int], tuple[str, Answer]], workdir: Path) -> None:
    lines = (
        json.dumps(
            {"task_id": task_id, "sample": sample, "completion": answer.text, "tokens": answer.tokens},
            ensure_ascii=False,
        )
        + "\n"
        for (_, sample), (task_id, answer) in sorted(answers.items())
    )
    write_whole(workdir / "completions.jsonl", "".join(lines))


def generate(job: GenerateJob, workdir: Path) -> GenerateResult:
    """One job by a generator of its own."""
    return Generator().run(job, workdir)
