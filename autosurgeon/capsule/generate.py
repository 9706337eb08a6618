"""Completing prompts: base, adapter or pack, in batches of like length.

Greedy unless a temperature is given. A function ends at its first dedent, so a model that rambles on is neither waited
for nor graded for its ramblings.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from peft import PeftModel

from autosurgeon.capsule.checkpoint import open_model, open_tokenizer
from autosurgeon.capsule.decode import Answer, Engine, Row
from autosurgeon.capsule.workdir import Progress, beat, read_jsonl, write_whole
from autosurgeon.core.digest import digest_json, digest_text
from autosurgeon.core.jobs import GenerateJob, GenerateResult
from autosurgeon.errors import PackError

ENGINE = 3
"""Raised when the same weights may answer otherwise; part of the fingerprint."""


class Prompt(NamedTuple):
    """One prompt of the job, with its place in the job's order."""

    order: int
    task_id: str
    ids: list[int]
    stops_at_dedent: bool
    name: str


def _open(job: GenerateJob) -> tuple[Any, Any]:
    model, tokenizer = open_model(job.model), open_tokenizer(job.model)
    if job.adapter is not None:
        if not (job.adapter / "adapter_model.safetensors").is_file():
            raise PackError("an adapter is incomplete", wanted="adapter_model.safetensors", where=job.adapter)
        model = PeftModel.from_pretrained(model, str(job.adapter))
    return model.eval(), tokenizer


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


def generate(job: GenerateJob, workdir: Path) -> GenerateResult:
    """Write `completions.jsonl` in the order of the prompts, whole."""
    model, tokenizer = _open(job)
    beat(workdir)
    prompts = _read_prompts(job, tokenizer)
    answers: dict[tuple[int, int], tuple[str, Answer]] = {}
    progress = Progress(workdir, len(prompts))
    if prompts:
        engine = Engine(
            model,
            tokenizer,
            rows=min(job.batch_rows, len(prompts)) * job.samples,
            slots=max(len(prompts[-1].ids), 2) + job.max_new_tokens,
            temperature=job.temperature,
        )
        for start in range(0, len(prompts), job.batch_rows):
            batch = prompts[start : start + job.batch_rows]

            def show(ended: int, start: int = start) -> None:
                beat(workdir)
                progress.step(start + ended // job.samples)

            for index, answer in enumerate(engine.complete(_rows(job, batch), job.max_new_tokens, show)):
                prompt = batch[index // job.samples]
                answers[prompt.order, index % job.samples] = (prompt.task_id, answer)
            progress.step(start + len(batch))
    progress.close()
    lines = (
        json.dumps({"task_id": task_id, "sample": sample, "completion": answer.text}, ensure_ascii=False) + "\n"
        for (_, sample), (task_id, answer) in sorted(answers.items())
    )
    write_whole(workdir / "completions.jsonl", "".join(lines))
    return GenerateResult(
        completions="completions.jsonl",
        count=len(answers),
        tokens=sum(answer.tokens for _, answer in answers.values()),
        fingerprint=fingerprint(job, model),
    )
