"""Completing prompts: base, adapter or pack, in batches of like length padded on the left.

Greedy unless a temperature is given. A function ends at its first dedent, so a model that rambles on is neither waited
for nor graded for its ramblings.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from peft import PeftModel
from transformers import StoppingCriteria, StoppingCriteriaList

from autosurgeon.capsule.checkpoint import open_model, open_tokenizer
from autosurgeon.capsule.workdir import Progress, beat, read_jsonl, write_whole
from autosurgeon.core.digest import digest_json
from autosurgeon.core.jobs import GenerateJob, GenerateResult
from autosurgeon.errors import PackError

# After a line break, anything that is no blank, no comment and no closing bracket is outside the function.
DEDENT = re.compile(r"\n(?=[^\s#)\]}])")


class Prompt(NamedTuple):
    """One prompt of the job, with its place in the job's order."""

    order: int
    task_id: str
    text: str
    stops_at_dedent: bool


def cut(completion: str, stops_at_dedent: bool) -> str:
    """The completion up to the end of its function.

    A completion that starts at column 0 with the function's own head keeps that head: only what follows a line break
    counts as outside, and lines before the first indented one (imports, decorators, the head) are inside.
    """
    if not stops_at_dedent:
        return completion
    body = re.search(r"(?:^|\n)[ \t]", completion)
    if body is None:
        return completion
    end = DEDENT.search(completion, body.end())
    return completion[: end.start() + 1] if end else completion


class FunctionEnd(StoppingCriteria):  # type: ignore[misc]  # transformers is not typed for us
    """Ends a row once its text has left the function; looks at the text only where a token may end a line."""

    def __init__(self, tokenizer: Any, prompt_tokens: int, stops: list[bool]) -> None:
        self._tokenizer = tokenizer
        self._prompt_tokens = prompt_tokens
        self._stops = stops

    def __call__(self, input_ids: torch.LongTensor, scores: Any, **kwargs: Any) -> Any:
        """One flag a row."""
        flags = torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)
        last = self._tokenizer.batch_decode(input_ids[:, -2:])
        for row, tail in enumerate(last):
            if self._stops[row] and DEDENT.search(tail):
                text = self._tokenizer.decode(input_ids[row, self._prompt_tokens :], skip_special_tokens=True)
                flags[row] = cut(text, True) != text
        return flags


class Heartbeat(StoppingCriteria):  # type: ignore[misc]  # as above
    """Ends nothing; tells the runner of every token, since a batch of long answers may take many minutes."""

    def __init__(self, workdir: Path) -> None:
        self._workdir = workdir

    def __call__(self, input_ids: torch.LongTensor, scores: Any, **kwargs: Any) -> Any:
        """One flag a row."""
        beat(self._workdir)
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


def _open(job: GenerateJob) -> tuple[Any, Any]:
    model, tokenizer = open_model(job.model), open_tokenizer(job.model)
    if job.adapter is not None:
        if not (job.adapter / "adapter_model.safetensors").is_file():
            raise PackError("an adapter is incomplete", wanted="adapter_model.safetensors", where=job.adapter)
        model = PeftModel.from_pretrained(model, str(job.adapter))
    return model.eval(), tokenizer


def _complete(
    job: GenerateJob, model: Any, tokenizer: Any, batch: list[Prompt], workdir: Path
) -> tuple[list[str], int]:
    """The completions of one batch, `samples` in a row for each prompt, and how many tokens they took."""
    encoded = tokenizer([prompt.text for prompt in batch], return_tensors="pt", padding=True)
    ids, mask = encoded["input_ids"].to(model.device), encoded["attention_mask"].to(model.device)
    sampling = {"do_sample": True, "temperature": job.temperature, "top_k": 0, "top_p": 1.0}
    stops = [prompt.stops_at_dedent for prompt in batch for _ in range(job.samples)]
    output = model.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=job.max_new_tokens,
        num_return_sequences=job.samples,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        stopping_criteria=StoppingCriteriaList([FunctionEnd(tokenizer, ids.shape[1], stops), Heartbeat(workdir)]),
        **(sampling if job.temperature > 0 else {"do_sample": False}),
    )[:, ids.shape[1] :]
    tokens = int((output != tokenizer.pad_token_id).sum())
    texts = tokenizer.batch_decode(output, skip_special_tokens=True)
    return [cut(text, stop) for text, stop in zip(texts, stops, strict=True)], tokens


def fingerprint(job: GenerateJob, model: Any) -> str:
    """What a greedy answer depends on besides weights and prompt."""
    return digest_json(
        {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "device": model.device.type,
            "dtype": str(model.dtype),
            "batch_rows": job.batch_rows,
            "max_new_tokens": job.max_new_tokens,
            "temperature": job.temperature,
        }
    )[:16]


@torch.inference_mode()
def generate(job: GenerateJob, workdir: Path) -> GenerateResult:
    """Write `completions.jsonl` in the order of the prompts, whole."""
    prompts = [
        Prompt(order, row["task_id"], row["prompt"], row["stop"] == "function")
        for order, row in enumerate(read_jsonl(job.prompts))
    ]
    model, tokenizer = _open(job)
    beat(workdir)
    torch.manual_seed(job.seed)
    by_length = sorted(prompts, key=lambda prompt: (len(prompt.text), prompt.order))
    lines: dict[tuple[int, int], str] = {}
    total_tokens, progress = 0, Progress(workdir, len(prompts))
    for start in range(0, len(by_length), job.batch_rows):
        batch = by_length[start : start + job.batch_rows]
        texts, tokens = _complete(job, model, tokenizer, batch, workdir)
        total_tokens += tokens
        for index, text in enumerate(texts):
            prompt, sample = batch[index // job.samples], index % job.samples
            row = {"task_id": prompt.task_id, "sample": sample, "completion": text}
            lines[prompt.order, sample] = json.dumps(row, ensure_ascii=False)
        progress.step(min(start + job.batch_rows, len(prompts)), tokens=total_tokens)
    progress.close()
    write_whole(workdir / "completions.jsonl", "".join(lines[key] + "\n" for key in sorted(lines)))
    return GenerateResult(
        completions="completions.jsonl",
        count=len(lines),
        tokens=total_tokens,
        fingerprint=fingerprint(job, model),
    )
