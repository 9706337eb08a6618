"""Confirm gains by sampling candidate and live in pairs, until no rule can change its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

from autosurgeon.core.decision import Evidence
from autosurgeon.core.digest import digest_text
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
from autosurgeon.stats.gains import CONFIRMED, Pairs, log_e_gain, p_luck

FIRST_GROUP = 4
FIRST_PAIRS = 4
LUCK = ("total.p_luck", "total.gained_confirmed")


class Drawn(NamedTuple):
    """The pairs drawn so far, and the largest evidence at the end of any round."""

    samples: Mapping[str, tuple[str, str]]
    """By task, whether each sample of the candidate and of live passed, as a string of 0 and 1."""
    confirmed: frozenset[str] = frozenset()
    """The tasks whose own evidence was large enough at the end of a round."""
    log_e: float = 0.0
    tokens: int = 0

    def after(self, samples: Mapping[str, tuple[str, str]], tokens: int) -> Drawn:
        """Return the state after one more round of samples for some of the tasks."""
        joined = {
            task: (ours + new[0], live + new[1])
            for task, (ours, live) in self.samples.items()
            for new in [samples.get(task, ("", ""))]
        }
        pairs = {task: pairs_of(*both) for task, both in joined.items()}
        sure = {task for task, one in pairs.items() if one.log_e >= CONFIRMED}
        return Drawn(joined, self.confirmed | sure, max(self.log_e, log_e_gain(pairs.values())), self.tokens + tokens)

    def open_tasks(self, most: int) -> list[str]:
        """The tasks that another round may help: not yet sampled, or won more often than lost."""
        pairs = {task: pairs_of(*both) for task, both in self.samples.items() if len(both[0]) < most}
        return [task for task, one in pairs.items() if not self.samples[task][0] or one.won > one.lost]

    def log_e_at_most(self, most: int) -> float:
        """The largest evidence that further rounds can reach: every pair to come is won."""
        going = set(self.open_tasks(most))
        best = (
            one._replace(won=one.won + (most - len(both[0])) * (task in going))
            for task, both in self.samples.items()
            for one in [pairs_of(*both)]
        )
        return max(self.log_e, log_e_gain(best))


def pairs_of(ours: str, live: str) -> Pairs:
    """Count the pairs that differ."""
    both = list(zip(ours, live, strict=True))
    return Pairs(won=both.count(("1", "0")), lost=both.count(("0", "1")))


def confirm_gains(
    ins: Instruments, scope: str, packs: tuple[str, str], comparison: Comparison, policy: Policy, known: Evidence
) -> ConfirmResult | None:
    """Sample the gained tasks, and weigh the evidence that any of them is truly gained.

    Groups of tasks, in the order of the bench, which is fixed before any result, get FIRST_PAIRS pairs each; each group
    is twice the one before. Further rounds double the pairs of the tasks that the candidate wins more often than live,
    up to `statistics.samples`. With `levers.racing` sampling ends once no rule can change its result; without, all
    samples are drawn at once. None where no rule needs them.

    Args:
        ins: the instruments.
        scope: the scope of the pass.
        packs: the candidate and live.
        comparison: the comparison of the finished bench.
        policy: the policy whose rules decide.
        known: the evidence from before the bench.

    """
    racing, most = ins.settings.levers.racing, ins.settings.statistics.samples
    if racing and not names_any(policy, LUCK):
        return None
    gained = set(comparison.restricted().flips(comparison.expected).gained)
    if not gained:
        return ConfirmResult()
    benched = reach_once_benched(comparison)

    def is_final(drawn: Drawn) -> bool:
        best = drawn.log_e_at_most(most)
        reach = reach_of_luck(
            (p_luck(best), p_luck(drawn.log_e)),
            (len(drawn.confirmed), len(drawn.confirmed | {*drawn.open_tasks(most)})),
        )
        return racing and is_settled(policy, known, benched | reach, LUCK)

    def work(folder: Path) -> Done[ConfirmResult]:
        drawn = _draw(ins, scope, packs, [task for task in comparison.order if task in gained], is_final, folder)
        sampled = {task: both for task, both in drawn.samples.items() if both[0]}
        # A win of the candidate is confirmed by as many samples as any other win, if there are as many.
        few = ins.settings.anchors.samples
        kept = {task: (few, ours[:few].count("1")) for task, (ours, _) in sampled.items() if len(ours) >= few}
        result = ConfirmResult(
            confirmed=tuple(sorted(drawn.confirmed)),
            sampled=len(sampled),
            p_luck=p_luck(drawn.log_e),
            drawn=sampled,
            tokens=Tokens(generated=drawn.tokens),
        )
        return Done(result, confirmations=(packs[0], kept))

    return once(ins, scope, ConfirmResult, work, inputs=[packs[0], sorted(gained)])


def _draw(
    ins: Instruments,
    scope: str,
    packs: tuple[str, str],
    order: Sequence[str],
    is_final: Callable[[Drawn], bool],
    folder: Path,
) -> Drawn:
    drawn, racing = Drawn(dict.fromkeys(order, ("", ""))), ins.settings.levers.racing
    for number in count():
        if is_final(drawn):
            break
        tasks, before, more = _round(drawn, number, ins.settings.statistics.samples, racing=racing)
        if not tasks:
            break
        # Each look and each round draws its own random numbers; both packs get the same, so that equal packs agree.
        seed = int(digest_text(f"{ins.settings.seed}:{scope}:{before}")[:7], 16)
        sampling = Sampling(more, ins.settings.anchors.temperature, seed)
        place = folder / f"round-{number}-from-{before}"
        ours, live = (_sample(ins, pack, tasks, place / pack[:12], sampling) for pack in packs)
        drawn = drawn.after({task: (ours[0][task], live[0][task]) for task in tasks}, ours[1] + live[1])
    return drawn


def _round(drawn: Drawn, number: int, most: int, *, racing: bool) -> tuple[list[str], int, int]:
    """The tasks of the next round, the samples that each of them has, and how many more each gets."""
    fresh = [task for task, both in drawn.samples.items() if not both[0]]
    if fresh:
        return (fresh[: FIRST_GROUP << number], 0, min(FIRST_PAIRS, most)) if racing else (fresh, 0, most)
    tasks = drawn.open_tasks(most)
    before = len(drawn.samples[tasks[0]][0]) if tasks else 0
    return tasks, before, min(before, most - before)


def _sample(
    ins: Instruments, pack: str, tasks: Sequence[str], folder: Path, sampling: Sampling
) -> tuple[dict[str, str], int]:
    """Whether each sample of a pack passed, by task, and the number of generated tokens."""
    model = Model(pack, verified_folder(ins, pack))
    measured = measure(ins, model, [ins.tasks[task] for task in tasks], folder, sampling)
    passed = dict.fromkeys(tasks, "")
    for envelope in measured.envelopes:
        passed[envelope.task_id] += "1" if envelope.passed else "0"
    return passed, measured.tokens
