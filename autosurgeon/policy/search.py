"""The search for the evidence nearest to a start on which rules have the demanded results.

It is complete for rules with a fact and a bound: the finite set `evidence_values.representatives` of each fact
distinguishes all bounds, so that no answer proves that there is none. For expressions it only tries values.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from autosurgeon.core.decision import Evidence, FactValue
from autosurgeon.policy.domains import domain_of
from autosurgeon.policy.evidence_values import Constraint, is_complete, representatives, result_of, spelled
from autosurgeon.policy.rules import Result, check
from autosurgeon.policy.schema import Bounded, Rule

MOST_TRIALS = 20_000
MOST_TRIALS_OF_EXPRESSIONS = 2_000
"""Steps of one search; a search that reaches them proves nothing."""

Demands = dict[str, tuple[Constraint, frozenset[Result]]]
Cost = tuple[int, float]
"""The number of facts that differ from the start, and the sum of their changes."""
Choices = dict[str, tuple[int, ...]]
"""By fact, the indices of the values that are still possible, the cheapest first."""


class Found(NamedTuple):
    """Evidence, if found; `proven`: there is none at all, or none cheaper."""

    evidence: Evidence | None
    proven: bool
    cost: Cost = (0, 0.0)


def demand(*groups: tuple[Iterable[Constraint], frozenset[Result]]) -> Demands | None:
    """Each constraint with its demanded results; None where the demands on one exclude each other."""
    demands: Demands = {}
    for constraints, wanted in groups:
        for constraint in constraints:
            left = wanted & demands.get(constraint.key, (constraint, wanted))[1]
            if not left:
                return None
            demands[constraint.key] = (constraint, left)
    return demands


class Space:
    """The values that the facts of some constraints can take, by their cost relative to a start."""

    def __init__(self, constraints: Iterable[Constraint], start: Evidence, *, tidy: bool) -> None:
        """With `tidy`, short and known values are cheap; else values near the start."""
        known = tuple({constraint.key: constraint for constraint in constraints}.values())
        self.start = start
        self.values: dict[str, list[tuple[Cost, FactValue]]] = {}
        for name in dict.fromkeys(fact for constraint in known for fact in constraint.facts):
            origin = start.get(name)
            values = representatives(name, known, *(() if origin is None else (origin,)))
            costs = sorted(
                ((_cost(name, origin, value, tidy=tidy), value) for value in values),
                key=lambda pair: (pair[0], len(repr(pair[1]))),  # neighbouring doubles can have equal distances
            )
            self.values[name] = _cheapest_distinct(name, known, costs)
        self.complete = all(is_complete(name, known) for name in self.values)
        self._bounds: dict[str, tuple[bool | None, ...]] = {}
        self._results: dict[tuple[str, tuple[int, ...]], Result] = {}

    def evidence(self, picked: Mapping[str, int]) -> Evidence:
        """The start with the picked values of these facts."""
        return self.start | {name: self.values[name][index][1] for name, index in picked.items()}

    def result(self, constraint: Constraint, picked: Mapping[str, int]) -> Result:
        """The result of the constraint on the picked values; cached."""
        at = (constraint.key, tuple(picked[name] for name in constraint.facts))
        if at not in self._results:
            facts = {name: self.values[name][picked[name]][1] for name in constraint.facts}
            self._results[at] = constraint.result(facts)
        return self._results[at]

    def nearest(self, demands: Demands | None) -> Found:
        """The cheapest evidence that meets the demands, by best-first search."""
        if demands is None:
            return Found(None, True)
        bounded = {key: one for key, one in demands.items() if one[0].clause is None}
        relaxed = self._search(bounded, MOST_TRIALS)
        if len(bounded) == len(demands) or (relaxed.evidence is None and relaxed.proven):
            return relaxed
        found = self._search(demands, MOST_TRIALS_OF_EXPRESSIONS)
        # The bounds alone cost as much, so no untried value of an expression could be cheaper.
        return found._replace(proven=found.evidence is not None and relaxed.proven and found.cost <= relaxed.cost)

    def _search(self, demands: Demands, most: int) -> Found:
        facts = dict.fromkeys(fact for constraint, _ in demands.values() for fact in constraint.facts)
        order = itertools.count()
        heap: list[tuple[Cost, int, Choices]] = []
        whole = {name: tuple(range(len(self.values[name]))) for name in facts}
        self._push(heap, next(order), whole, demands, list(facts))
        for _ in range(most):
            if not heap:
                return Found(None, self.complete)
            cost, _, choices = heapq.heappop(heap)
            picked = {name: left[0] for name, left in choices.items()}
            broken = next((c for c, wanted in demands.values() if self.result(c, picked) not in wanted), None)
            if broken is None:
                return Found(self.evidence(picked), self.complete, cost)
            open_facts = [name for name in broken.facts if len(choices[name]) > 1]
            if open_facts:
                name = min(open_facts, key=lambda fact: len(choices[fact]))
                for part in (choices[name][:1], choices[name][1:]):
                    self._push(heap, next(order), choices | {name: part}, demands, [name])
        return Found(None, False)

    def _push(
        self, heap: list[tuple[Cost, int, Choices]], number: int, choices: Choices, demands: Demands, moved: list[str]
    ) -> None:
        left = self._propagate(choices, demands, moved)
        if left is not None:
            costs = [self.values[name][indices[0]][0] for name, indices in left.items()]
            heapq.heappush(heap, ((sum(c[0] for c in costs), sum(c[1] for c in costs)), number, left))

    def _propagate(self, choices: Choices, demands: Demands, moved: list[str]) -> Choices | None:
        """Remove values with which a rule cannot have its demanded result; None where no value of a fact is left."""
        by_fact: dict[str, list[tuple[Constraint, frozenset[Result]]]] = {}
        for constraint, wanted in demands.values():
            if constraint.clause is None:
                for name in constraint.facts:
                    by_fact.setdefault(name, []).append((constraint, wanted))
        choices, pending = dict(choices), dict.fromkeys(moved)
        while pending:
            fact, _ = pending.popitem()
            for constraint, wanted in by_fact.get(fact, ()):
                for name, kept in self._kept(constraint.rule, wanted, choices):
                    if not kept:
                        return None
                    if len(kept) < len(choices[name]):
                        choices[name] = kept
                        pending[name] = None
        return choices

    def _kept(self, rule: Rule, wanted: frozenset[Result], choices: Choices) -> Iterator[tuple[str, tuple[int, ...]]]:
        """For each fact of a rule, the values with which the rule can have a wanted result."""
        own = self._holds(rule)
        if rule.when is None or rule.when.fact == rule.fact:
            conditions_met = self._holds(rule.when) if rule.when else (True,) * len(own)
            yield rule.fact, tuple(i for i in choices[rule.fact] if result_of(conditions_met[i], own[i]) in wanted)
            return
        conditions_met = self._holds(rule.when)
        left = [{conditions_met[i] for i in choices[rule.when.fact]}, {own[i] for i in choices[rule.fact]}]
        good = [pair for pair in itertools.product(*left) if result_of(*pair) in wanted]
        conditions, bounds = {pair[0] for pair in good}, {pair[1] for pair in good}
        yield rule.when.fact, tuple(i for i in choices[rule.when.fact] if conditions_met[i] in conditions)
        yield rule.fact, tuple(i for i in choices[rule.fact] if own[i] in bounds)

    def _holds(self, bounded: Bounded) -> tuple[bool | None, ...]:
        """The result of a bound for each value of its fact; cached."""
        key = spelled(bounded)
        if key not in self._bounds:
            values = self.values[bounded.fact]
            self._bounds[key] = tuple(check(bounded, {bounded.fact: value}).holds for _, value in values)
        return self._bounds[key]


def _cheapest_distinct(
    name: str, constraints: Iterable[Constraint], values: list[tuple[Cost, FactValue]]
) -> list[tuple[Cost, FactValue]]:
    """The cheapest of the values that no bound distinguishes; all of them where an expression names the fact."""
    reading = [constraint for constraint in constraints if name in constraint.facts]
    if any(constraint.clause is not None and name in constraint.clause.names for constraint in reading):
        return values
    bounds = [bounded for constraint in reading for bounded in constraint.bounds if bounded.fact == name]
    first: dict[tuple[bool | None, ...], tuple[Cost, FactValue]] = {}
    for cost, value in values:
        first.setdefault(tuple(check(bounded, {name: value}).holds for bounded in bounds), (cost, value))
    return list(first.values())


def _cost(name: str, origin: FactValue, value: FactValue, *, tidy: bool) -> Cost:
    if type(value) is type(origin) and value == origin:
        return 0, 0.0
    if value is None:
        return 1, 1e6
    return 1, (len(repr(value)) if tidy else 0) + how_much(name, origin, value)


def how_much(name: str, origin: FactValue, value: FactValue) -> float:
    """The size of a change: for a number relative to the original, for a list in items, else 1."""
    if isinstance(origin, tuple) and isinstance(value, tuple):
        return float(len(set(origin) ^ set(value)))
    numbers = [n for n in (origin, value) if isinstance(n, int | float) and not isinstance(n, bool)]
    if len(numbers) < 2:
        return 1.0
    scale = max(1.0, abs(numbers[0])) if domain_of(name).whole else abs(numbers[0]) or 1.0
    return abs(numbers[1] / scale - numbers[0] / scale)
