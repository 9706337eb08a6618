"""Confirm gains by re-sampling candidate and live, until no rule can change its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from autosurgeon.core.decision import Evidence
from autosurgeon.core.stage_results import ConfirmResult, Tokens
from autosurgeon.loop.baseline.baseline import verified_folder
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.stage import Done, once
from autosurgeon.loop.stages.generate_answers import Model, Sampling
from autosurgeon.loop.stages.measure import measure
from autosurgeon.policy.early import is_settled, names_any
from autosurgeon.policy.promotion import Comparison
from autosurgeon.policy.reach import reach_of_luck, reach_once_benched
from autosurgeon.policy.schema import Policy

FIRST_GROUP = 4
LUCK = ("total.p_luck", "total.gained_confirmed")


def confirm_gains(
    ins: Instruments, scope: str, packs: tuple[str, str], comparison: Comparison, policy: Policy, known: Evidence
) -> tuple[str, ...] | None:
    """The gained tasks that every sample of the candidate passes and every sample of live fails.

    With `levers.racing` they are sampled in groups, in the order of the bench, which is fixed before any result, until
    no rule can change its result: enough are confirmed, or too few can be. The count is then a lower bound. None where
    no rule needs it.

    Args:
        ins: the instruments.
        scope: the scope of the pass.
        packs: the candidate and live.
        comparison: the comparison of the finished bench.
        policy: the policy whose rules decide.
        known: the evidence from before the bench.

    """
    gained = comparison.restricted().flips(comparison.expected).gained
    if not gained:
        return ()
    if not ins.settings.levers.racing:
        return _confirm(ins, scope, packs, gained, lambda folder: _all_at_once(ins, packs, gained, folder))
    if not names_any(policy, LUCK):
        return None
    benched, tasks = reach_once_benched(comparison), comparison.restricted().flips(comparison.expected).tasks

    def enough(sure: int, left: int) -> bool:
        reach = benched | reach_of_luck(sure, left, tasks, comparison.samples)
        return is_settled(policy, known, reach, LUCK)

    order = [task for task in comparison.order if task in set(gained)]
    return _confirm(ins, scope, packs, gained, lambda folder: _race(ins, packs, order, enough, folder))


def _confirm(
    ins: Instruments,
    scope: str,
    packs: tuple[str, str],
    gained: Sequence[str],
    sample: Callable[[Path], ConfirmedGains],
) -> tuple[str, ...]:
    def work(folder: Path) -> Done[ConfirmResult]:
        found = sample(folder)
        samples = ins.settings.statistics.samples
        kept = {task: (samples, count) for task, count in found.counts.items()}
        result = ConfirmResult(
            confirmed=tuple(sorted(found.sure)), sampled=len(kept), tokens=Tokens(generated=found.tokens)
        )
        return Done(result, confirmations=(packs[0], kept))

    return once(ins, scope, ConfirmResult, work, inputs=[packs[0], sorted(gained)]).confirmed


class ConfirmedGains(NamedTuple):
    """The gains that samples confirm."""

    sure: Sequence[str]
    counts: Mapping[str, int]
    """The number of the candidate's passed samples, by task."""
    tokens: int


def _all_at_once(ins: Instruments, packs: tuple[str, str], gained: Sequence[str], folder: Path) -> ConfirmedGains:
    ours, live = (_sample(ins, name, gained, folder / name[:12]) for name in packs)
    sure = [task for task in gained if _is_sure(ins, ours.counts[task], live.counts[task])]
    return ConfirmedGains(sure, ours.counts, ours.tokens + live.tokens)


def _sample(ins: Instruments, pack: str, tasks: Sequence[str], folder: Path) -> ConfirmedGains:
    """The passed samples of each task with a pack; none is confirmed yet."""
    settings = ins.settings
    sampling = Sampling(settings.statistics.samples, settings.anchors.temperature, seed=settings.seed)
    model = Model(pack, verified_folder(ins, pack))
    measured = measure(ins, model, [ins.tasks[task] for task in tasks], folder, sampling)
    counts = dict.fromkeys(tasks, 0)
    for envelope in measured.envelopes:
        counts[envelope.task_id] += envelope.passed
    return ConfirmedGains((), counts, measured.tokens)


def _is_sure(ins: Instruments, ours: int, live: int) -> bool:
    return ours == ins.settings.statistics.samples and not live


def _race(
    ins: Instruments, packs: tuple[str, str], order: Sequence[str], is_settled: Callable[[int, int], bool], folder: Path
) -> ConfirmedGains:
    """Sample in groups of doubling size until the result is settled; live only where the candidate passes all."""
    sure, counts, tokens, size = list[str](), dict[str, int](), 0, FIRST_GROUP
    while len(counts) < len(order) and not is_settled(len(sure), len(order) - len(counts)):
        group, place = order[len(counts) : len(counts) + size], folder / f"from-{len(counts)}"
        ours = _sample(ins, packs[0], group, place / packs[0][:12])
        steady = [task for task in group if _is_sure(ins, ours.counts[task], 0)]
        live = _sample(ins, packs[1], steady, place / packs[1][:12])
        sure += [task for task in steady if not live.counts[task]]
        counts |= ours.counts
        tokens += ours.tokens + live.tokens
        size *= 2
    return ConfirmedGains(sure, counts, tokens)
