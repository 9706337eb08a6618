"""The smoke: every anchor that was not trained on is run with the adapter, before anything is merged."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from autosurgeon.core.envelope import Envelope
from autosurgeon.core.records import AnchorRun
from autosurgeon.loop.complete import Model
from autosurgeon.loop.instruments import Instruments
from autosurgeon.loop.measure import Retried, measure, retry
from autosurgeon.loop.stage import Done
from autosurgeon.policy.evidence import smoke_facts


def smoke(
    ins: Instruments, model: Model, anchors: Sequence[str], folder: Path, *, seed: int, limit: float | None
) -> Done:
    """Run the anchors in random order, a batch at a time, until more are lost than the policy allows.

    Args:
        ins: the instruments.
        model: the parent with the adapter on it.
        anchors: ids of the held-out anchors.
        folder: where to work.
        seed: of the order, which is written down.
        limit: how many may be lost; None runs them all.

    """
    order = random.Random(f"smoke:{seed}").sample(sorted(anchors), len(anchors))
    size = ins.settings.organ.generate_batch_rows
    results: dict[str, Envelope] = {}
    runs: list[AnchorRun] = []
    tokens, lost = 0, 0
    for number, start in enumerate(range(0, len(order), size)):
        batch = order[start : start + size]
        measured = measure(ins, model, [ins.tasks[task] for task in batch], folder / f"batch-{number}")
        results |= measured.results
        failed = [task for task in batch if not results[task].passed]
        retried = retry(ins, model, failed, folder / f"batch-{number}")
        tokens += measured.tokens + retried.tokens
        runs += runs_of(model.name, measured.results, retried)
        lost += len(failed) - len(retried.recovered)
        if limit is not None and lost > limit:
            break
    recovered = [run.task_id for run in runs if run.is_flaky]
    facts = smoke_facts(order, results, recovered)
    told = {"facts": facts, "order": order, "recovered": recovered, "tokens": {"generated": tokens}}
    lost_names = [task for task in order if task in results and not results[task].passed and task not in recovered]
    return Done({**told, "lost": lost_names}, anchor_runs=runs)


def runs_of(occasion: str, first: dict[str, Envelope], retried: Retried) -> list[AnchorRun]:
    """How anchors fared on an occasion, the first try and the others together."""
    return [
        AnchorRun(
            occasion,
            task_id,
            tries=1 + retried.tries.get(task_id, 0),
            passed=envelope.passed + retried.passed.get(task_id, 0),
        )
        for task_id, envelope in first.items()
    ]
