"""Asking a model: route each task, let the organ complete what reaches it, grade every answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autosurgeon.bench.envelopes import Answer, grade_answers
from autosurgeon.bench.impossible import MARK, choose_impossible
from autosurgeon.core.envelope import ORGAN, Condition, Envelope, Mode
from autosurgeon.core.task import Task
from autosurgeon.loop.complete import Model, Sampling, complete
from autosurgeon.loop.instruments import Instruments


def measure(
    ins: Instruments, model: Model, tasks: Sequence[Task], folder: Path, sampling: Sampling | None = None
) -> list[Envelope]:
    """One envelope per task and sample, in mode B: the organ alone, no fallback.

    A task that the dispatcher gives to another handler is answered by that one, and its envelope says so.
    """
    handlers = {task.task_id: ins.dispatcher.route(task.prompt) for task in tasks}
    ours = [task for task in tasks if handlers[task.task_id] == ORGAN]
    completions, fingerprint = complete(
        ins.capsules,
        ins.settings.organ,
        model,
        ours,
        folder,
        sampling or Sampling(),
        lambda done, total: ins.reporter.progress(done, total, "generated"),
    )
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
