"""Asking a model: route each task, let the organ complete what reaches it, grade every answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from autosurgeon.bench.envelopes import Answer, grade_answers
from autosurgeon.bench.impossible import MARK, choose_impossible
from autosurgeon.core.envelope import ORGAN, Condition, Envelope, Mode
from autosurgeon.core.jobs import GenerateJob, GenerateResult
from autosurgeon.core.task import Task
from autosurgeon.errors import CapsuleError
from autosurgeon.loop.instruments import Instruments


class Model(NamedTuple):
    """Weights to ask: a folder, with an adapter on top while it is not merged; `name` goes into the envelopes."""

    name: str
    folder: Path
    adapter: Path | None = None


class Sampling(NamedTuple):
    """How to decode: greedy by default."""

    samples: int = 1
    temperature: float = 0.0
    seed: int = 0


def measure(
    ins: Instruments, model: Model, tasks: Sequence[Task], folder: Path, sampling: Sampling | None = None
) -> list[Envelope]:
    """One envelope per task and sample, in mode B: the organ alone, no fallback.

    A task that the dispatcher gives to another handler is answered by that one, and its envelope says so.
    """
    sampling = sampling or Sampling()
    handlers = {task.task_id: ins.dispatcher.route(task.prompt) for task in tasks}
    ours = [task for task in tasks if handlers[task.task_id] == ORGAN]
    completions, fingerprint = _complete(ins, model, ours, folder, sampling)
    answers = []
    for task in tasks:
        handler = handlers[task.task_id]
        cond = Condition(
            mode=Mode.ORGAN_ALONE, pack=model.name, handler=handler, fallback=False, fingerprint=fingerprint
        )
        texts = completions[task.task_id] if handler == ORGAN else [ins.dispatcher.answer(task.prompt)]
        answers += [Answer(task, text, cond) for text in texts]
    return grade_answers(ins.grader, answers, lambda done: ins.reporter.progress(done, len(answers), "graded"))


def pass_the_impossible(ins: Instruments, envelopes: Sequence[Envelope]) -> dict[str, Any]:
    """Grade answers that were just given against impossible twins of their tasks; who passes one has cheated.

    The same completions are used, so it costs no generation.
    """
    ours = {envelope.task_id: envelope for envelope in envelopes if envelope.cond.handler == ORGAN}
    twins = choose_impossible(ins.tasks[task_id] for task_id in ours)
    answers = [Answer(twin, ours[twin.task_id.removesuffix(MARK)].completion, envelopes[0].cond) for twin in twins]
    passed = [envelope.task_id for envelope in grade_answers(ins.grader, answers) if envelope.passed]
    if passed:
        ins.reporter.say(f"ALARM: {len(passed)} of {len(twins)} impossible tasks were passed: {', '.join(passed)}")
    return {"tried": len(twins), "passed": passed}


def _complete(
    ins: Instruments, model: Model, tasks: Sequence[Task], folder: Path, sampling: Sampling
) -> tuple[dict[str, list[str]], str]:
    """The organ's completions by task id, and the generation fingerprint."""
    if not tasks:
        return {}, "nothing generated"
    folder.mkdir(parents=True, exist_ok=True)
    prompts = folder / "prompts.jsonl"
    rows = (
        {"task_id": task.task_id, "prompt": task.prompt, "stop": "end" if task.kind == "stdin" else "function"}
        for task in tasks
    )
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    job = GenerateJob(
        model=model.folder.resolve(),
        adapter=model.adapter.resolve() if model.adapter else None,
        prompts=prompts.resolve(),
        max_new_tokens=ins.settings.organ.max_new_tokens,
        batch_rows=ins.settings.organ.generate_batch_rows,
        **sampling._asdict(),
    )
    workdir = folder / "generate"
    result = ins.capsules.run(job, workdir, lambda done, total, _: ins.reporter.progress(done, total, "generated"))
    assert isinstance(result, GenerateResult)
    completions: dict[str, list[str]] = {}
    with (workdir / result.completions).open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            completions.setdefault(row["task_id"], []).append(row["completion"])
    short = [task.task_id for task in tasks if len(completions.get(task.task_id, [])) != sampling.samples]
    if short:
        raise CapsuleError("bad_outcome", f"no completion for {short[0]} and {len(short) - 1} more")
    return completions, result.fingerprint
