"""The values that the facts of a running bench can still take, and the rules that they already settle.

A task that ran keeps its result, so counts of losses only grow, and gains are limited by the tasks to come that live
fails. A fact of unknown range has no reach, and a rule that names one is not settled.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from autosurgeon.core.decision import Evidence, Scalar
from autosurgeon.policy.expression import MOST_REMEMBERED, PARAMS, Clause, clauses_of, scan
from autosurgeon.policy.facts import fact_of, known_at
from autosurgeon.policy.promotion import Comparison, anchor_facts, bench_facts, gate_facts, largest_e, total_facts
from autosurgeon.policy.rules import LARGEST, check, check_clause, facts_of
from autosurgeon.policy.schema import Bounded, Rule

ANYTIME = "gate.e_regression"
"""The one fact of a promotion that is valid after every task."""


class Reach(NamedTuple):
    """The least and the largest value that a number can still take."""

    least: float
    most: float


def reach_of(comparison: Comparison) -> dict[str, Reach]:
    """The reach of facts once some tasks have run; a final fact has one value."""
    comparison = comparison.restricted()
    found = _never_less(comparison) | _flips_within(comparison, "total", comparison.expected)
    gate = [task for task, split in comparison.expected.items() if split == "gate"]
    if gate and all(task in comparison.pack and task in comparison.live for task in gate):
        return found | _final(gate_facts(comparison))
    if any(task in comparison.pack and task in comparison.live for task in gate):
        found[ANYTIME] = Reach(largest_e(comparison), LARGEST)
    return found | _flips_within(comparison, "gate", gate)


def reach_once_benched(comparison: Comparison) -> dict[str, Reach]:
    """The reach once all tasks have run, and only samples and the KL divergence are missing."""
    if not comparison.is_complete:
        return reach_of(comparison)
    found: dict[str, Reach] = {}
    for part in (bench_facts, anchor_facts, gate_facts, total_facts):
        found |= _final(part(comparison.restricted()))
    return found


def reach_of_luck(p_luck: tuple[float, float], confirmed: tuple[int, int]) -> dict[str, Reach]:
    """The reach of the facts that samples of the gained tasks decide, from the least and the largest of each."""
    return {"total.p_luck": Reach(*p_luck), "total.gained_confirmed": Reach(*confirmed)}


def _never_less(comparison: Comparison) -> dict[str, Reach]:
    """The reach of counts that later tasks cannot decrease."""
    counts = _final(bench_facts(comparison))
    found = {name: counts[name]._replace(most=LARGEST) for name in COUNTS}
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
    """The reach of flips: at most, tasks to come are lost where live wins and gained where it fails."""
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


def will_hold(
    rule: Rule, evidence: Evidence, reach: Mapping[str, Reach], params: Mapping[str, Scalar]
) -> tuple[bool | None, ...]:
    """Whether each clause of a rule will hold in the end, whatever the rest of the bench brings; None: not settled.

    Args:
        rule: a rule of a promotion.
        evidence: the evidence from before the bench.
        reach: the reach of the bench's facts.
        params: the parameters of the policy.

    """
    condition = True if rule.when is None else _bound_will_hold(rule.when, evidence, reach)
    if condition is not True:
        return (None,) if condition is None else (True,)
    if rule.expr is None:
        return (_bound_will_hold(rule, evidence, reach),)
    return tuple(_clause_will_hold(clause, evidence, reach, params) for clause in clauses_of(rule.expr))


def names_in_rule(rule: Rule) -> set[str]:
    """The facts that a rule names."""
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
    # An order bound that gives one result at both ends gives it between them; other bounds need a single value.
    is_order = bounded.at_least is not None or bounded.at_most is not None
    return ends.pop() if len(ends) == 1 and (is_order or known.least == known.most) else None


def _clause_will_hold(
    clause: Clause, evidence: Evidence, reach: Mapping[str, Reach], params: Mapping[str, Scalar]
) -> bool | None:
    ours = [name for name in facts_of(clause) if not _known_before(name)]
    if any(name not in reach for name in ours):
        return None
    unsettled = [name for name in ours if reach[name].least < reach[name].most]
    if unsettled and not (len(unsettled) == 1 and is_monotone(clause.source, unsettled[0])):
        return None
    before = {name: value for name, value in evidence.items() if _known_before(name)}
    ends = {check_clause(clause, before | {name: reach[name][end] for name in ours}, params).holds for end in range(2)}
    return ends.pop() if len(ends) == 1 else None


def _known_before(name: str) -> bool:
    fact = fact_of(name)
    return name.startswith(PARAMS) or (fact is not None and known_at(fact, "merge"))


MONOTONE_SIGNS = frozenset({"+", "-", "*", "<", "<=", ">", ">=", "(", ")", "&&", "||", "!"})


@lru_cache(maxsize=MOST_REMEMBERED)
def is_monotone(source: str, name: str) -> bool:
    """Whether a condition is monotone in a fact, so that a result at both ends holds between them.

    It is where the fact occurs once, in sums and products that are compared by order. A quotient has a pole, `==`
    holds at one point, and calls are unknown.
    """
    tokens = scan(source)
    names = [token.text for token in tokens if token.kind == "name"]
    signs = {token.text for token in tokens if token.kind == "sign"}
    calls = any(token.kind == "name" and after.text == "(" for token, after in pairwise(tokens))
    return names.count(name) == 1 and signs <= MONOTONE_SIGNS and not calls
