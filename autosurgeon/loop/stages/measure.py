"""Measure a model: route each task, generate the organ's answers, and grade every answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from autosurgeon.bench.envelopes import Answer, grade_answers
from autosurgeon.bench.impossible import MARK, choose_impossible
from autosurgeon.core.envelope import ORGAN, Condition, Envelope, Mode
from autosurgeon.core.stage_results import Impossible
from autosurgeon.core.task import Task
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.stages.generate_answers import Model, Sampling, complete


class Measured(NamedTuple):
    """The envelopes in the order of the tasks, and the number of generated tokens."""

    envelopes: list[Envelope]
    tokens: int

    @property
    def results(self) -> dict[str, Envelope]:
        """The envelopes by task id; the last of several samples."""
        return {envelope.task_id: envelope for envelope in self.envelopes}


def measure(
    ins: Instruments, model: Model, tasks: Sequence[Task], folder: Path, sampling: Sampling | None = None
) -> Measured:
    """One envelope per task and sample, in mode B: the organ alone, no fallback.

    A task that the dispatcher routes to another handler is answered by that handler, and its envelope records it.
    """
    handlers = {task.task_id: ins.dispatcher.route(task.prompt) for task in tasks}
    ours = [task for task in tasks if handlers[task.task_id] == ORGAN]
    completed = complete(
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
            mode=Mode.ORGAN_ALONE, pack=model.name, handler=handler, fallback=False, fingerprint=completed.fingerprint
        )
        texts = completed.texts[task.task_id] if handler == ORGAN else [ins.dispatcher.answer(task.prompt)]
        answers += [Answer(task, text, cond) for text in texts]
    graded = grade_answers(ins.grader, answers, lambda done: ins.reporter.progress(done, len(answers), "graded"))
    return Measured(graded, completed.tokens)


class Retried(NamedTuple):
    """The results of retries: passes and tries by task, without the first try."""

    passed: dict[str, int]
    tries: dict[str, int]
    tokens: int
    undecided: frozenset[str] = frozenset()
    """Tasks that were not retried, because enough others were lost."""

    @property
    def recovered(self) -> frozenset[str]:
        """Tasks that passed a retry: flaky, and not lost."""
        return frozenset(task for task, count in self.passed.items() if count)


def retry(ins: Instruments, model: Model, failed: Sequence[str], folder: Path) -> Retried:
    """Retry failed tasks by the settings, each time in a batch of only those that still fail.

    Greedy answers repeat for the same batch; another batch rounds differently, which shows results that depend on a
    tie.
    """
    passed, tries, tokens = dict.fromkeys(failed, 0), dict.fromkeys(failed, 0), 0
    for attempt in range(1, ins.settings.anchors.retries + 1):
        left = [ins.tasks[task_id] for task_id in failed if not passed[task_id]]
        if not left:
            break
        measured = measure(ins, model, left, folder / f"retry-{attempt}")
        tokens += measured.tokens
        for task_id, envelope in measured.results.items():
            tries[task_id] += 1
            passed[task_id] += envelope.passed
    return Retried(passed, tries, tokens)


def retry_enough(ins: Instruments, model: Model, failed: Sequence[str], folder: Path, most: float | None) -> Retried:
    """Retry until more than `most` have failed every retry; tasks without a retry are undecided, not lost.

    Groups double in size, and the first is large enough to decide alone, so that many losses need few answers and many
    flakes need few jobs.
    """
    if most is None:
        return retry(ins, model, failed, folder)
    passed, tries, tokens, lost = dict[str, int](), dict[str, int](), 0, 0
    size = max(1, int(most) + 1)
    while len(tries) < len(failed) and lost <= most:
        group = failed[len(tries) : len(tries) + size]
        retried = retry(ins, model, group, folder / f"from-{len(tries)}")
        passed, tries, tokens = passed | retried.passed, tries | retried.tries, tokens + retried.tokens
        lost += len(group) - len(retried.recovered)
        size *= 2
    return Retried(passed, tries, tokens, frozenset(failed) - tries.keys())


def pass_the_impossible(ins: Instruments, envelopes: Sequence[Envelope]) -> Impossible:
    """Grade the given answers against impossible twins of their tasks; an answer that passes one has cheated.

    The same completions are graded, without new generation.
    """
    ours = {envelope.task_id: envelope for envelope in envelopes if envelope.cond.handler == ORGAN}
    twins = choose_impossible(ins.tasks[task_id] for task_id in ours)
    answers = [Answer(twin, ours[twin.task_id.removesuffix(MARK)].completion, envelopes[0].cond) for twin in twins]
    passed = [envelope.task_id for envelope in grade_answers(ins.grader, answers) if envelope.passed]
    if passed:
        ins.reporter.say(f"ALARM: {len(passed)} of {len(twins)} impossible tasks were passed: {', '.join(passed)}")
    return Impossible(tried=len(twins), passed=tuple(passed))
