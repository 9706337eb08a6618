"""The order in which anchors are smoked: the most fragile first, so that a bad adapter is refused early."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, TypeVar

from autosurgeon.core.records import AnchorRun
from autosurgeon.core.task import Task
from autosurgeon.loop.engine.instruments import Instruments

RARE = 0.5
"""The share of wins below which live counts as weak in a family."""
PRIOR_RUNS = 2
"""Passed runs that are added to those of every anchor: one loss in one run weighs less than four in five."""
FIRST_BATCH = 8
T = TypeVar("T")


class Fragility(NamedTuple):
    """The fragility of one anchor: larger is more fragile, and earlier fields count first."""

    losses: float = 0.0
    """The share of earlier candidates that failed it in every try."""
    flakes: float = 0.0
    """The share of runs in which the same weights both failed and passed it."""
    doubt: float = 0.0
    """The share of live's samples that failed."""
    rare: bool = False
    """Whether live is weak in its family."""


def fragility_of(
    runs: Sequence[AnchorRun] = (), samples: tuple[int, int] = (0, 0), family: tuple[int, int] = (0, 0)
) -> Fragility:
    """The fragility of an anchor.

    Args:
        runs: its runs as an anchor.
        samples: the samples of live, taken and passed.
        family: the tasks of its family that live ran, and won.

    """
    (taken, passed), (tasks, won) = samples, family
    return Fragility(
        losses=sum(not run.passed for run in runs) / (len(runs) + PRIOR_RUNS),
        flakes=sum(run.is_flaky for run in runs) / (len(runs) + PRIOR_RUNS),
        doubt=(taken - passed) / taken if taken else 0.0,
        rare=won < RARE * tasks,
    )


def fragile_first(anchors: Collection[str], known: Mapping[str, Fragility], seed: int) -> list[str]:
    """The anchors, the most fragile first; equal ones, such as those without runs, in the seed's order."""
    order = in_any_order(anchors, seed)
    return sorted(order, key=lambda task: known.get(task, Fragility()), reverse=True)


def in_any_order(anchors: Collection[str], seed: int) -> list[str]:
    """The anchors in the random order of a seed."""
    return random.Random(f"smoke:{seed}").sample(sorted(anchors), len(anchors))


def even(order: Sequence[T], size: int) -> list[list[T]]:
    """An order, cut into batches of one size."""
    return [list(order[at : at + size]) for at in range(0, len(order), size)]


def growing(order: Sequence[str], most: int) -> list[list[str]]:
    """The order, cut into batches of 8, 16, 32 and so on up to `most`: a bad adapter pays for few answers."""
    batches, at, size = [], 0, min(FIRST_BATCH, most)
    while at < len(order):
        batches.append(list(order[at : at + size]))
        at, size = at + size, min(2 * size, most)
    return batches


def read_fragility(ins: Instruments, anchors: Collection[str]) -> dict[str, Fragility]:
    """Read the fragility of anchors of the live pack from the store."""
    live = ins.store.live()
    if live is None:
        return {}
    runs = ins.store.last_anchor_runs(anchors, ins.settings.anchors.flake_runs)
    samples, won = ins.store.confirmations(live.pack), ins.store.passed(live.pack)
    tasks = Counter(_family(ins.tasks[task]) for task in won if task in ins.tasks)
    wins = Counter(_family(ins.tasks[task]) for task, passed in won.items() if passed and task in ins.tasks)
    families = {task: _family(ins.tasks[task]) for task in anchors}
    return {
        task: fragility_of(runs.get(task, ()), samples.get(task, (0, 0)), (tasks[family], wins[family]))
        for task, family in families.items()
    }


def _family(task: Task) -> str:
    # As in the ledger, except that a cluster of one task is a family of one: it is not rare where it is won.
    return f"{task.bench}:{task.cluster.split('/')[0].split(':')[0]}"
