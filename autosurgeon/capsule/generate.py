"""Generation of completions by a base, an adapter or a pack, in batches of prompts of similar lengths.

Decoding is greedy unless a temperature is given. A function ends at its first dedent and each answer at its stops, so
that text after it costs no time and is not graded.
"""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers

from autosurgeon.capsule.chat import chat_digest, end_of_turn, end_token
from autosurgeon.capsule.decode import Answer, Engine, Row
from autosurgeon.capsule.model_slot import ModelSlot, adapter_kind, model_kind
from autosurgeon.capsule.prove_decode import Loop, prove_decode
from autosurgeon.capsule.tokenization import prompt_tokens
from autosurgeon.capsule.workdir import Progress, beat, read_jsonl, write_whole
from autosurgeon.core.digest import digest_json, digest_text
from autosurgeon.core.jobs import GenerateJob, GenerateResult

ENGINE = 7
"""The version of the engine, part of the fingerprint: raised when the same weights may give other answers."""


class Prompt(NamedTuple):
    """One prompt of the job, with its place in the job's order."""

    order: int
    task_id: str
    ids: list[int]
    stops_at_dedent: bool
    name: str
    in_block: bool
    continues: bool
    stops: tuple[str, ...]


def _read_prompts(job: GenerateJob, tokenizer: Any) -> list[Prompt]:
    """Return the prompts, sorted by length."""
    prompts = [
        Prompt(
            order,
            row["task_id"],
            prompt_tokens(tokenizer, job.chat, row["prompt"]),
            row["stop"] != "end",
            row.get("name", ""),
            row["stop"] == "block",
            row.get("continues", False),
            tuple(row.get("stops", ())),
        )
        for order, row in enumerate(read_jsonl(job.prompts))
    ]
    return sorted(prompts, key=lambda prompt: (len(prompt.ids), prompt.order))


def _rows(job: GenerateJob, batch: list[Prompt]) -> list[Row]:
    """Return `samples` rows per prompt; a row's seed does not depend on its batch."""

    def seed(prompt: Prompt, sample: int) -> int:
        return int(digest_text(f"{job.seed}:{prompt.task_id}:{sample}")[:15], 16)

    return [
        Row(prompt.ids, prompt.stops_at_dedent, seed(prompt, sample), *prompt[4:])
        for prompt in batch
        for sample in range(job.samples)
    ]


def fingerprint(job: GenerateJob, model: Any, replaced: tuple[str, ...] = (), chat: str = "") -> str:
    """Return the digest of what a greedy answer depends on besides weights and prompt.

    `replaced` names the fast pieces that the model does without; `chat` is the digest of how it is asked.
    """
    return digest_json(
        ({"replaced": replaced} if replaced else {})
        | ({"chat": chat} if chat else {})
        | {
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
    """Runs one job after another, and keeps in memory what the next job can use.

    Results do not depend on earlier jobs: weights are copied for each job, and an engine is reused only if a fresh one
    would compute the same.
    """

    def __init__(self) -> None:
        self._slot: ModelSlot | None = None
        self._engine: Engine | None = None
        self._loop: Loop | None = None

    def run(self, job: GenerateJob, workdir: Path) -> GenerateResult:
        """Write `completions.jsonl` in the order of the prompts, atomically.

        Raises:
            PackError: the checkpoint is missing, or the adapter is incomplete.
            UserError: the prompts are missing or not JSON.

        """
        slot = self._load(job)
        beat(workdir)
        prompts = _read_prompts(job, slot.tokenizer)
        answers: dict[tuple[int, int], tuple[str, Answer]] = {}
        progress = Progress(workdir, len(prompts))
        engine = self._engine_for(job, slot, prompts) if prompts else None
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
        replaced = () if self._loop is None else self._loop.replaced
        return GenerateResult(
            completions="completions.jsonl",
            count=len(answers),
            tokens=sum(answer.tokens for _, answer in answers.values()),
            fingerprint=fingerprint(
                job, slot.model, replaced, chat_digest(slot.tokenizer, job.chat) if job.chat else ""
            ),
            replaced=replaced,
        )

    def _load(self, job: GenerateJob) -> ModelSlot:
        """Load the job's model and adapter, into the memory of the previous model if it fits."""
        kind, of_adapter = model_kind(job.model), None if job.adapter is None else adapter_kind(job.adapter)
        if self._slot is not None and self._slot.takes(kind, of_adapter):
            self._slot.load_weights(job.model)
        else:
            self._slot = self._engine = self._loop = None
            _free_memory()
            self._slot = ModelSlot(job.model, kind)
        if job.adapter is None or of_adapter is None:
            self._slot.detach_adapter()
        else:
            self._slot.attach_adapter(job.adapter, of_adapter)
        return self._slot

    def _engine_for(self, job: GenerateJob, slot: ModelSlot, prompts: list[Prompt]) -> Engine:
        rows = min(job.batch_rows, len(prompts)) * job.samples
        slots = max(len(prompts[-1].ids), 2) + job.max_new_tokens
        if self._engine is None or not self._engine.takes(rows, slots):
            dedents = None if self._engine is None else self._engine.dedents
            self._engine = None
            if self._loop is None:
                self._loop, dedents = prove_decode(slot.model, slot.tokenizer)
            _free_memory()
            self._engine = self._loop.engine(
                slot.model,
                slot.tokenizer,
                rows=rows,
                slots=slots,
                temperature=job.temperature,
                layers=self._loop.layers,
                dedents=dedents,
            )
        self._engine.end_also_at(end_token(slot.tokenizer, end_of_turn(slot.tokenizer, job.chat)) if job.chat else None)
        self._engine.configure(job.temperature, adapted=job.adapter is not None)
        return self._engine


def _free_memory() -> None:
    """Free unreferenced GPU memory; recorded graphs are in reference cycles."""
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
    """Run one job with a generator of its own."""
    return Generator().run(job, workdir)
