"""Smoke: run the held-out anchors with the adapter, before the merge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from autosurgeon.core.envelope import Envelope
from autosurgeon.core.records import AnchorRun
from autosurgeon.core.stage_results import SmokeResult, Tokens
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.stage import Done
from autosurgeon.loop.stages.anchor_order import even, fragile_first, growing, in_any_order, read_fragility
from autosurgeon.loop.stages.generate_answers import Model
from autosurgeon.loop.stages.measure import Retried, measure, retry, retry_enough
from autosurgeon.policy.evidence import smoke_facts


def smoke(
    ins: Instruments, model: Model, anchors: Sequence[str], folder: Path, *, seed: int, limit: float | None
) -> Done[SmokeResult]:
    """Run the anchors a batch at a time, until more are lost than the policy allows.

    The order is random or, with `levers.racing`, the most fragile first in growing batches, so that a bad adapter is
    refused after few answers. The size of a batch affects rounding, which may fail a win that depends on a tie; the
    retries cover this.

    Args:
        ins: the instruments.
        model: the parent with the adapter on it.
        anchors: ids of the held-out anchors.
        folder: where to work.
        seed: the seed of the order, which is recorded.
        limit: the most losses that the policy allows; None runs all.

    """
    order, batches = _planned(ins, anchors, seed)
    results: dict[str, Envelope] = {}
    runs: list[AnchorRun] = []
    undecided: frozenset[str] = frozenset()
    tokens, lost = 0, 0
    for number, batch in enumerate(batches):
        measured = measure(ins, model, [ins.tasks[task] for task in batch], folder / f"batch-{number}")
        results |= measured.results
        failed = [task for task in batch if not results[task].passed]
        retried = _retry(ins, model, failed, folder / f"batch-{number}", None if limit is None else limit - lost)
        undecided = retried.undecided
        tokens += measured.tokens + retried.tokens
        runs += runs_of(model.name, measured.results, retried)
        lost += len(failed) - len(retried.recovered) - len(undecided)
        if limit is not None and lost > limit:
            break
    recovered = [run.task_id for run in runs if run.is_flaky]
    facts = smoke_facts(order, results, recovered, undecided)
    spared = {*recovered, *undecided}
    result = SmokeResult(
        facts=facts,
        order=tuple(order),
        recovered=tuple(recovered),
        lost=tuple(task for task in order if task in results and not results[task].passed and task not in spared),
        tokens=Tokens(generated=tokens),
    )
    return Done(result, anchor_runs=runs)


def _planned(ins: Instruments, anchors: Sequence[str], seed: int) -> tuple[list[str], list[list[str]]]:
    """The order of the anchors, and their batches."""
    size = ins.settings.organ.generate_batch_rows
    if not ins.settings.levers.racing:
        order = in_any_order(anchors, seed)
        return order, even(order, size)
    order = fragile_first(anchors, read_fragility(ins, anchors), seed)
    return order, growing(order, size)


def _retry(ins: Instruments, model: Model, failed: Sequence[str], folder: Path, most: float | None) -> Retried:
    """Retry failed anchors; with racing only as many as decide."""
    if ins.settings.levers.racing:
        return retry_enough(ins, model, failed, folder, most)
    return retry(ins, model, failed, folder)


def runs_of(occasion: str, first: dict[str, Envelope], retried: Retried) -> list[AnchorRun]:
    """The runs of anchors on an occasion, first tries and retries together."""
    return [
        AnchorRun(
            occasion,
            task_id,
            tries=1 + retried.tries.get(task_id, 0),
            passed=envelope.passed + retried.passed.get(task_id, 0),
        )
        for task_id, envelope in first.items()
    ]
