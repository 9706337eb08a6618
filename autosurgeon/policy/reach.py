"""What the facts of a bench under way can still come to, and what that says of a rule before all is known.

A task that ran keeps its result, so counts of what was lost only grow, and what can be gained is at most what live
fails of the tasks to come. Facts that nothing is known of have no reach, and a rule that names one is not settled.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from autosurgeon.core.decision import Evidence, FactValue, Scalar
from autosurgeon.policy.expression import MOST_REMEMBERED, PARAMS, Clause, clauses_of, scan
from autosurgeon.policy.facts import fact_of, known_at
from autosurgeon.policy.promotion import Comparison, anchor_facts, bench_facts, gate_facts, largest_e, total_facts
from autosurgeon.policy.rules import LARGEST, check, check_clause, facts_of
from autosurgeon.policy.schema import Bounded, Rule
from autosurgeon.stats.paired import p_luck

ANYTIME = "gate.e_regression"
"""The one fact of a promotion that is made for being looked at after every task."""


class Reach(NamedTuple):
    """The least and the most that a number can still become."""

    least: float
    most: float


def reach_of(comparison: Comparison) -> dict[str, Reach]:
    """The reach of facts once some of the tasks have run; of those that are final, the value alone."""
    comparison = comparison.restricted()
    found = _never_less(comparison) | _flips_within(comparison, "total", comparison.expected)
    gate = [task for task, split in comparison.expected.items() if split == "gate"]
    if gate and all(task in comparison.pack and task in comparison.live for task in gate):
        return found | _final(gate_facts(comparison))
    if any(task in comparison.pack and task in comparison.live for task in gate):
        found[ANYTIME] = Reach(largest_e(comparison), LARGEST)
    return found | _flips_within(comparison, "gate", gate)


def reach_once_benched(comparison: Comparison) -> dict[str, Reach]:
    """The same once all tasks have run, and only samples and the distance are still to come."""
    if not comparison.is_complete:
        return reach_of(comparison)
    found: dict[str, Reach] = {}
    for part in (bench_facts, anchor_facts, gate_facts, total_facts):
        found |= _final(part(comparison.restricted()))
    return found


def reach_of_luck(confirmed: int, left: int, tasks: int, samples: int) -> dict[str, Reach]:
    """What samples of the gained tasks can still come to.

    Args:
        confirmed: gained tasks that all samples bore out.
        left: gained tasks that were not sampled.
        tasks: that both packs ran.
        samples: of each pack.

    """
    most = confirmed + left
    return {
        "total.gained_confirmed": Reach(confirmed, most),
        "total.p_luck": Reach(p_luck(most, max(1, tasks), samples), p_luck(confirmed, max(1, tasks), samples)),
    }


def _never_less(comparison: Comparison) -> dict[str, Reach]:
    """Counts that no later task makes smaller."""
    told = bench_facts(comparison)
    found = {name: Reach(_number(told[name]), LARGEST) for name in COUNTS}
    lost = comparison.anchors_lost
    more = sum(task not in comparison.pack or task in comparison.undecided for task in comparison.anchors)
    found["anchors.lost"] = Reach(len(lost), len(lost) + more)
    hidden = sum(task in comparison.hidden for task in lost)
    found["anchors.hidden_lost"] = Reach(hidden, hidden + more)
    provisional = comparison.provisional
    failed = sum(task in comparison.pack and not comparison.pack[task].passed for task in provisional)
    found["provisional.lost"] = Reach(failed, failed + sum(task not in comparison.pack for task in provisional))
    return found


COUNTS = ("bench.fallbacks", "bench.foreign", "bench.shared_tier")


def _flips_within(comparison: Comparison, name: str, wanted: Collection[str]) -> dict[str, Reach]:
    """Flips on some tasks: those to come are lost where live wins, and gained where it fails, at most."""
    if not wanted or not all(task in comparison.live for task in wanted):
        return {}
    flipped = comparison.flips(wanted)
    left = [task for task in wanted if task not in comparison.pack]
    lost, gained = len(flipped.lost), len(flipped.gained)
    losable = sum(comparison.live[task].passed for task in left)
    gainable = len(left) - losable
    return {
        f"{name}.lost": Reach(lost, lost + losable),
        f"{name}.gained": Reach(gained, gained + gainable),
        f"{name}.net": Reach(gained - lost - losable, gained - lost + gainable),
    }


def _final(facts: Evidence) -> dict[str, Reach]:
    return {name: Reach(value, value) for name, value in facts.items() if type(value) in (int, float)}  # type: ignore[arg-type]


def _number(value: FactValue) -> float:
    assert isinstance(value, (int, float))
    return value


def will_hold(
    rule: Rule, evidence: Evidence, reach: Mapping[str, Reach], params: Mapping[str, Scalar]
) -> tuple[bool | None, ...]:
    """Of each clause of a rule, whether it will hold in the end, whatever is still to come; None: not settled.

    Args:
        rule: of a promotion.
        evidence: what was known before the bench.
        reach: of facts that the bench brings.
        params: of the policy.

    """
    condition = True if rule.when is None else _bound_will_hold(rule.when, evidence, reach)
    if condition is not True:
        return (None,) if condition is None else (True,)
    if rule.expr is None:
        return (_bound_will_hold(rule, evidence, reach),)
    return tuple(_clause_will_hold(clause, evidence, reach, params) for clause in clauses_of(rule.expr))


def names_in_rule(rule: Rule) -> set[str]:
    """The facts that a rule turns on."""
    named = (
        {rule.fact} if rule.expr is None else {name for clause in clauses_of(rule.expr) for name in facts_of(clause)}
    )
    return named | ({rule.when.fact} if rule.when else set())


def _bound_will_hold(bounded: Bounded, evidence: Evidence, reach: Mapping[str, Reach]) -> bool | None:
    if _known_before(bounded.fact):
        return check(bounded, evidence).holds
    known = reach.get(bounded.fact)
    if known is None:
        return None
    ends = {check(bounded, {bounded.fact: end}).holds for end in known}
    # Between two ends that are too small, or too large, is nothing that is not; `equals` is true or false of one value.
    is_order = bounded.at_least is not None or bounded.at_most is not None
    return ends.pop() if len(ends) == 1 and (is_order or known.least == known.most) else None


def _clause_will_hold(
    clause: Clause, evidence: Evidence, reach: Mapping[str, Reach], params: Mapping[str, Scalar]
) -> bool | None:
    ours = [name for name in facts_of(clause) if not _known_before(name)]
    if any(name not in reach for name in ours):
        return None
    unsettled = [name for name in ours if reach[name].least < reach[name].most]
    if unsettled and not (len(unsettled) == 1 and turns_once(clause.source, unsettled[0])):
        return None
    before = {name: value for name, value in evidence.items() if _known_before(name)}
    ends = {check_clause(clause, before | {name: reach[name][end] for name in ours}, params).holds for end in range(2)}
    return ends.pop() if len(ends) == 1 else None


def _known_before(name: str) -> bool:
    fact = fact_of(name)
    return name.startswith(PARAMS) or (fact is not None and known_at(fact, "merge"))


STRAIGHT = frozenset({"+", "-", "*", "<", "<=", ">", ">=", "(", ")", "&&", "||", "!"})


@lru_cache(maxsize=MOST_REMEMBERED)
def turns_once(source: str, name: str) -> bool:
    """Whether a condition changes its truth once at most as a fact grows: what holds at both ends holds between them.

    So it is where the fact stands once, in sums and products that are compared by order: a straight line. A quotient
    has a pole, `==` is true at a point, and of calls nothing is known.
    """
    tokens = scan(source)
    names = [token.text for token in tokens if token.kind == "name"]
    signs = {token.text for token in tokens if token.kind == "sign"}
    calls = any(token.kind == "name" and after.text == "(" for token, after in pairwise(tokens))
    return names.count(name) == 1 and signs <= STRAIGHT and not calls
