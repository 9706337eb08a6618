"""Generate answers to tasks with a model, in a capsule."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from autosurgeon.core.answers import ending
from autosurgeon.core.chat import Chat, block_name, code_of, question
from autosurgeon.core.jobs import GenerateJob, GenerateResult
from autosurgeon.core.ports import CapsuleRunner
from autosurgeon.core.task import Task
from autosurgeon.errors import CapsuleError
from autosurgeon.loop.stages.job_rows import chat_of
from autosurgeon.sections import OrganSettings


class Model(NamedTuple):
    """The weights of a model: a folder, with an adapter before the merge; `name` goes into the envelopes."""

    name: str
    folder: Path
    adapter: Path | None = None


class Sampling(NamedTuple):
    """The decoding: greedy by default."""

    samples: int = 1
    temperature: float = 0.0
    seed: int = 0


class Completed(NamedTuple):
    """The answers of a model."""

    texts: dict[str, list[str]]
    """Completions by task id."""
    fingerprint: str
    """Answers with different fingerprints are not comparable."""
    tokens: int
    """The number of generated tokens."""
    counts: dict[str, list[int | None]]
    """The tokens of each completion; None where the capsule does not count them."""


def complete(
    capsules: CapsuleRunner,
    organ: OrganSettings,
    model: Model,
    tasks: Sequence[Task],
    folder: Path,
    sampling: Sampling,
    on_progress: Callable[[int, int], None],
) -> Completed:
    """A model's completions, `sampling.samples` of each task.

    Raises:
        CapsuleError: the capsule failed, or left a task without completions.

    """
    if not tasks:
        return Completed({}, "nothing generated", 0, {})
    folder.mkdir(parents=True, exist_ok=True)
    prompts = folder / "prompts.jsonl"
    chat = chat_of(organ)
    prompts.write_text("".join(json.dumps(_asked(task, chat)) + "\n" for task in tasks), encoding="utf-8")
    job = GenerateJob(
        model=model.folder.resolve(),
        adapter=model.adapter.resolve() if model.adapter else None,
        prompts=prompts.resolve(),
        max_new_tokens=organ.max_new_tokens,
        batch_rows=organ.generate_batch_rows,
        chat=chat,
        **sampling._asdict(),
    )
    workdir = folder.resolve() / "generate"
    result = capsules.run(job, workdir, lambda done, total, _: on_progress(done, total))
    assert isinstance(result, GenerateResult)
    known = {task.task_id: task for task in tasks}
    completions: dict[str, list[str]] = {}
    counts: dict[str, list[int | None]] = {}
    with (workdir / result.completions).open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            text = code_of(known[row["task_id"]], row["completion"]) if chat is not None else row["completion"]
            completions.setdefault(row["task_id"], []).append(text)
            counts.setdefault(row["task_id"], []).append(row.get("tokens"))
    short = [task.task_id for task in tasks if len(completions.get(task.task_id, [])) != sampling.samples]
    if short:
        raise CapsuleError("bad_outcome", f"no completion for {short[0]} and {len(short) - 1} more")
    return Completed(completions, result.fingerprint, result.tokens, counts)


def _asked(task: Task, chat: Chat | None) -> dict[str, Any]:
    """Return a prompt as the capsule reads it, with where its answer ends."""
    if chat is not None:
        return {"task_id": task.task_id, "prompt": question(task), "stop": "block", "name": block_name(task)}
    at_dedent, *rest = ending(task)
    stop = "function" if at_dedent else "end"
    fields = zip(("name", "continues", "stops"), rest, strict=True)
    return {"task_id": task.task_id, "prompt": task.prompt, "stop": stop, **dict(fields)}
