"""The facts of a promotion: the pack against live and base, task by task, as pure functions of results."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from autosurgeon.core.decision import Evidence, FactValue
from autosurgeon.core.envelope import ORGAN, Envelope
from autosurgeon.policy.evidence import Results, first_named, passed
from autosurgeon.stats.eprocess import EProcess
from autosurgeon.stats.paired import Flips, flips, p_regression, smallest_called_loss

SPLITS = ("surgery", "dev", "gate")
"""The splits that a promotion is judged on; the canary split is read after it."""


class Comparison(NamedTuple):
    """The results of a candidate, live and base. Tasks that are not expected are left out of all results."""

    expected: Mapping[str, str]
    """Split by id of the counted tasks that should have run."""
    order: Sequence[str]
    """The ids in the order of the run, fixed before its start."""
    pack: Results
    live: Results
    base: Results
    anchors: Collection[str]
    """Confirmed wins of live."""
    hidden: Collection[str] = ()
    """Anchors that no training has seen."""
    recovered: Collection[str] = ()
    """Tasks that failed and passed on a retry; as anchors they are not lost."""
    undecided: Collection[str] = ()
    """Anchors that failed and were not retried since the bench ended; they do not count as lost."""
    impossible: tuple[int, Sequence[str]] = (0, ())
    """The number of tasks with contradictory tests that were tried, and those that passed."""
    stopped: bool = False
    """Whether a rule ended the bench early; facts that need all of it are then unknown."""
    alpha: float | None = None
    """The alpha of this look."""
    confirmed: Sequence[str] | None = None
    """Gained tasks that are confirmed by their own samples; None without sampling."""
    p_luck: float | None = None
    """The chance of the samples' evidence where nothing improved; None without sampling."""
    kl: float | None = None
    """Mean KL of the pack from live on the gate's references, nats per token."""

    def restricted(self) -> Comparison:
        """The same without the results of other tasks."""
        pack, live, base = ({t: e for t, e in r.items() if t in self.expected} for r in self.results)
        return self._replace(pack=pack, live=live, base=base)

    @property
    def results(self) -> tuple[Results, Results, Results]:
        """The results of pack, live and base."""
        return self.pack, self.live, self.base

    @property
    def is_complete(self) -> bool:
        """Whether all three ran every expected task."""
        return all(results.keys() >= self.expected.keys() for results in self.results)

    @property
    def anchors_lost(self) -> list[str]:
        """Confirmed wins of live that the pack failed at every try."""
        spared = {*self.recovered, *self.undecided}
        return [t for t in sorted(self.anchors) if t in self.pack and not self.pack[t].passed and t not in spared]

    @property
    def provisional(self) -> list[str]:
        """Unconfirmed wins of live."""
        return [t for t in sorted(self.live) if self.live[t].passed and t not in self.anchors]

    def flips(self, tasks: Collection[str]) -> Flips:
        """Flips against live on some tasks."""
        return flips(passed(self.live, tasks), passed(self.pack, tasks))


def promotion_facts(comparison: Comparison) -> Evidence:
    """All facts of a pack whose bench is over or was ended early."""
    comparison, facts = comparison.restricted(), Evidence()
    for part in (bench_facts, anchor_facts, gate_facts, total_facts, slice_facts):
        facts |= part(comparison)
    return facts


def bench_facts(comparison: Comparison) -> Evidence:
    """The validity of the bench, and its worst result."""
    pack, live, base = comparison.results
    benches = sorted({envelope.bench for envelope in base.values()})
    prints = [{e.cond.fingerprint for e in r.values() if e.cond.handler == ORGAN} for r in comparison.results]
    shared = sum(envelope.tier == "shared" for envelope in pack.values())
    return {
        "bench.tasks": len(pack),
        "bench.missing": None if comparison.stopped else len(comparison.expected.keys() - pack.keys()),
        "bench.fallbacks": sum(envelope.cond.fallback for envelope in pack.values()),
        "bench.foreign": sum(envelope.cond.handler != ORGAN for envelope in pack.values()),
        "bench.impossible_tried": comparison.impossible[0],
        "bench.impossible_passed": len(comparison.impossible[1]),
        "bench.shared_tier": shared,
        "bench.shared_share": shared / len(pack) if pack else None,
        "bench.same_conditions": len(prints[0]) == 1 and prints[0] == prints[1] == prints[2] if pack else None,
        "bench.worst_net": _worst_net(pack, live, benches) if comparison.is_complete else None,
        "bench.worst_net_over_base": _worst_net(pack, base, benches) if comparison.is_complete else None,
    }


def _worst_net(pack: Results, other: Results, benches: Sequence[str]) -> int | None:
    return min((_wins(pack, bench) - _wins(other, bench) for bench in benches), default=None)


def _wins(results: Results, bench: str) -> int:
    return sum(envelope.passed for envelope in results.values() if envelope.bench == bench)


def anchor_facts(comparison: Comparison) -> Evidence:
    """The wins of live that the pack fails, confirmed and unconfirmed.

    After an early end the number of lost anchors is a lower bound, and unknown where it would be 0.
    """
    complete = all(task in comparison.pack and task not in comparison.undecided for task in comparison.anchors)
    lost = comparison.anchors_lost if complete or comparison.stopped else []
    hidden = sum(task in comparison.hidden for task in lost)
    provisional = [t for t in comparison.provisional if t in comparison.pack and not comparison.pack[t].passed]
    return {
        "anchors.lost": len(lost) if complete or lost else None,
        "anchors.lost_names": first_named(lost),
        "anchors.hidden_lost": hidden if complete or hidden else None,
        "provisional.lost": len(provisional) if comparison.is_complete else None,
        "provisional.lost_names": first_named(provisional),
    }


def gate_facts(comparison: Comparison) -> Evidence:
    """Flips on the gate, with an e-value that is valid at every task."""
    wanted = [task for task, split in comparison.expected.items() if split == "gate"]
    gate = comparison.flips(wanted)
    known = gate.tasks > 0 and gate.tasks == len(wanted)
    lost, gained = len(gate.lost), len(gate.gained)
    pack, live = comparison.pack, comparison.live
    both = [t for t in wanted if t in pack and t in live and pack[t].tier == live[t].tier == "split"]
    return {
        "gate.tasks": gate.tasks,
        "gate.lost": lost if known else None,
        "gate.gained": gained if known else None,
        "gate.net": gate.net if known else None,
        "gate.net_split": comparison.flips(both).net if known else None,
        "gate.p_regression": p_regression(lost, gained) if known else None,
        "gate.e_regression": largest_e(comparison) if gate.tasks else None,
    }


def largest_e(comparison: Comparison) -> float:
    """The largest e-value for a loss over all prefixes of the gate's tasks, in the order of the run.

    By Ville's inequality it reaches 1/alpha with probability alpha at most where flips are fair coins.
    """
    seen, largest = EProcess(), 1.0
    for task in comparison.order:
        if comparison.expected.get(task) != "gate" or task not in comparison.pack or task not in comparison.live:
            continue
        before, after = comparison.live[task].passed, comparison.pack[task].passed
        if before != after:
            seen = seen.after(lost=before)
            largest = max(largest, seen.e_regression)
    return largest


def total_facts(comparison: Comparison) -> Evidence:
    """Flips over all counted tasks, with exact tests for a loss and for a gain."""
    every = comparison.flips(comparison.expected)
    known = comparison.is_complete and every.tasks > 0
    lost, gained = len(every.lost), len(every.gained)
    visible = smallest_called_loss(every.tasks, comparison.alpha) if comparison.alpha and known else None
    facts: dict[str, FactValue] = {
        "total.lost": lost,
        "total.gained": gained,
        "total.net": every.net,
        "total.gained_per_lost": gained / max(1, lost),
        "total.p_regression": p_regression(lost, gained),
        "total.p_gain": p_regression(gained, lost),
    }
    if comparison.confirmed is not None:
        borne_out = sum(task in every.gained for task in comparison.confirmed)
        facts |= {"total.gained_confirmed": borne_out, "total.p_luck": comparison.p_luck}
    else:
        facts |= {"total.gained_confirmed": None, "total.p_luck": None}
    known_facts: Evidence = {name: value if known else None for name, value in facts.items()}
    return {**known_facts, "total.kl": comparison.kl, "total.visible_loss": visible}


def slice_facts(comparison: Comparison) -> Evidence:
    """Flips of each bench and split."""
    facts: Evidence = {}
    bench_of = {task: _bench(task, comparison) for task in comparison.expected}
    for bench in sorted({bench for bench in bench_of.values() if bench}):
        for split in (*SPLITS, "all"):
            wanted = [t for t, s in comparison.expected.items() if bench_of[t] == bench and split in (s, "all")]
            if not wanted:
                continue
            flipped = comparison.flips(wanted)
            known = flipped.tasks == len(wanted)
            name = f"slice.{bench}.{split}"
            facts |= {
                f"{name}.n": sum(task in comparison.pack for task in wanted),
                f"{name}.expected": len(wanted),
                f"{name}.net": flipped.net if known else None,
                f"{name}.lost": len(flipped.lost) if known else None,
                f"{name}.gained": len(flipped.gained) if known else None,
            }
    return facts


def _bench(task: str, comparison: Comparison) -> str | None:
    found: Envelope | None = next((results[task] for results in comparison.results if task in results), None)
    return found.bench if found else None
