"""Rules as constraints on evidence, and for each fact a finite set of values that distinguishes them all."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from autosurgeon.core.decision import PHASES, Evidence, FactValue, Phase, Scalar, Verdict
from autosurgeon.policy.domains import MOST, Domain, domain_of, known_fact, typical
from autosurgeon.policy.expression import PARAMS, Clause, clauses_of, scan
from autosurgeon.policy.judge import REMEDY, VALIDITY
from autosurgeon.policy.rules import Result, check, check_clause
from autosurgeon.policy.schema import BOUNDS, Bounded, Policy, Rule

OK: frozenset[Result] = frozenset({"passed", "skipped"})
REFUSED: frozenset[Result] = frozenset({"failed", "missing", "error"})
FAILED: frozenset[Result] = frozenset({"failed"})
NOT_FAILED: frozenset[Result] = frozenset({"passed", "skipped", "missing"})
APPLIES: frozenset[Result] = frozenset({"passed", "failed"})
FRESH = "something else"
MOST_LIST_BOUNDS = 8
"""The most bounds on one list fact whose intersections are all made."""
MOST_BETWEEN = 1e9
"""The largest gap whose middle is a plausible measurement."""
TRIED_NUMBERS = (-10.0, -1.0, 0.0, 0.01, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 100.0, 1000.0)
"""The values that are tried for a fact of an expression without literals."""


class Constraint(NamedTuple):
    """A rule, or one clause of its expression, as a function of evidence."""

    rule: Rule
    clause: Clause | None
    params: tuple[tuple[str, Scalar], ...]
    key: str
    """Equal for two constraints only if they give the same result on all evidence."""
    facts: tuple[str, ...]
    """The facts that it reads, without repetition."""

    @property
    def remedy(self) -> Verdict:
        """The verdict where it fails; ACCEPT for a non-binding rule."""
        if self.rule.id in BUILT_IN_IDS:
            return Verdict.INVALID
        return REMEDY.get(self.rule.otherwise, Verdict.ACCEPT) if self.rule.mode == "enforce" else Verdict.ACCEPT

    @property
    def bounds(self) -> tuple[Bounded, ...]:
        """The bounds of the condition and of the rule."""
        own = (self.rule,) if self.clause is None else ()
        return own if self.rule.when is None else (self.rule.when, *own)

    def result(self, evidence: Mapping[str, FactValue]) -> Result:
        """The result as the judge computes it."""
        facts: Evidence = dict(evidence)
        condition = check(self.rule.when, facts).holds if self.rule.when is not None else True
        if condition is not True:
            return result_of(condition, None)
        found = check(self.rule, facts) if self.clause is None else check_clause(self.clause, facts, dict(self.params))
        return "error" if found.error is not None else result_of(True, found.holds)


def result_of(condition: bool | None, holds: bool | None) -> Result:
    """The result of a rule from its condition and its bound; None is missing."""
    if condition is False:
        return "skipped"
    if condition is None or holds is None:
        return "missing"
    return "passed" if holds else "failed"


def constraints_of(policy: Policy, phase: Phase, *, binding: bool = True) -> tuple[Constraint, ...]:
    """The constraints of a phase in the order of the rules.

    With `binding`, only those of binding rules, followed by the judge's validity checks; else those of all rules.
    """
    found: list[Constraint] = []
    for rule in policy.rules:
        if rule.phase != phase:
            continue
        clauses = clauses_of(rule.expr) if rule.expr is not None else (None,)
        found += [_constraint(rule, clause, policy.param_values) for clause in clauses]
    if not binding:
        return tuple(found)
    return (*(one for one in found if one.remedy != Verdict.ACCEPT), *built_in(phase))


BUILT_IN_IDS = frozenset(validity.rule_id for validity in VALIDITY)


@lru_cache(maxsize=len(PHASES))
def built_in(phase: Phase) -> tuple[Constraint, ...]:
    """The judge's validity checks of a phase, as constraints."""
    common = {"phase": phase, "otherwise": "revert" if phase == "watch" else "reject"}
    return tuple(
        _constraint(Rule(id=v.rule_id, lesson=v.lesson, **common, **v.bounded.model_dump(exclude_none=True)), None, {})
        for v in VALIDITY
        if v.phase == phase
    )


def _constraint(rule: Rule, clause: Clause | None, params: Mapping[str, Scalar]) -> Constraint:
    named = [] if clause is None else [name for name in clause.names if not name.startswith(PARAMS)]
    given = {} if clause is None else {n: params[n] for p in clause.names if (n := p.removeprefix(PARAMS)) in params}
    facts = dict.fromkeys([rule.when.fact] if rule.when else []) | dict.fromkeys(named if clause else [rule.fact])
    own = spelled(rule) if clause is None else f"{clause.source} with {sorted(given.items())!r}"
    key = f"{spelled(rule.when) if rule.when else ''} -> {own}"
    return Constraint(rule, clause, tuple(given.items()), key, tuple(facts))


def spelled(bounded: Bounded) -> str:
    """A bound as text, since True equals 1."""
    return f"{bounded.fact} {[getattr(bounded, name) for name in BOUNDS]!r}"


def representatives(name: str, constraints: Iterable[Constraint], *also: FactValue) -> list[FactValue]:
    """Values of a fact, and None: any set of its bounds that a value meets is met by one of these.

    Args:
        name: the fact.
        constraints: all constraints, also those that do not read the fact.
        also: values to add, in the domain or not.

    """
    reading = [one for one in constraints if name in one.facts]
    bounds = [bounded for one in reading for bounded in one.bounds if bounded.fact == name]
    clauses = [one for one in reading if one.clause is not None and name in one.clause.names]
    fact, domain = known_fact(name), domain_of(name)
    values: list[FactValue] = [*also, typical(name)]
    if fact.type == "number":
        cuts = [cut for bounded in bounds for cut in _cuts(bounded)]
        for one in clauses:
            cuts += [*_literals(one), *TRIED_NUMBERS]
        values += _numbers(domain, cuts)
    elif fact.type == "list":
        sets = {frozenset(bounded.subset_of or ()) for bounded in bounds}
        values += _lists(sets, [value for value in also if isinstance(value, tuple)])
    elif domain.values is not None:
        values += domain.values
    elif fact.type == "text":
        values += [text for bounded in bounds for text in _named(bounded) if isinstance(text, str)]
        values += [text[1:-1] for one in clauses if one.clause for text in _tokens(one.clause, "text")]
        values.append(_fresh(values))
    else:
        values += [True, False]
    inside = [value for index, value in enumerate(values) if index < len(also) or domain.has(value)]
    return [*{(type(value), value): value for value in inside if value is not None}.values(), None]


def _named(bounded: Bounded) -> tuple[Scalar, ...]:
    return (bounded.equals,) if bounded.equals is not None else bounded.one_of or ()


def _cuts(bounded: Bounded) -> list[float]:
    given = (bounded.at_most, bounded.at_least, *_named(bounded))
    return [cut for cut in given if isinstance(cut, int | float) and not isinstance(cut, bool)]


def _literals(constraint: Constraint) -> list[float]:
    """The numbers of an expression and of its parameters."""
    texts = _tokens(constraint.clause, "whole", "float") if constraint.clause else []
    numbers = [float(text) for text in texts] + [
        value for _, value in constraint.params if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return [number for number in numbers if abs(number) <= MOST]


def _tokens(clause: Clause, *kinds: str) -> list[str]:
    return [token.text for token in scan(clause.source) if token.kind in kinds]


def _numbers(domain: Domain, cuts: Iterable[float]) -> list[float]:
    """Each cut with its neighbours, a round number between each two, and the ends of the domain."""
    near: set[float] = set()
    for cut in (domain.low, domain.high, *cuts):
        if not domain.low <= cut <= domain.high:
            continue
        if domain.whole:
            near |= {math.floor(cut) - 1, math.floor(cut), math.ceil(cut), math.ceil(cut) + 1}
        else:
            near |= {math.nextafter(cut, -math.inf), cut, math.nextafter(cut, math.inf)}
    middles = sorted(near)
    between = [a / 2 + b / 2 for a, b in itertools.pairwise(middles) if b - a < MOST_BETWEEN]
    for middle in between:
        near |= {math.floor(middle)} if domain.whole else {middle, round(middle, 1)}
    return sorted(number for number in near if domain.has(number) and abs(number) <= MOST)


def _fresh(known: Collection[object]) -> str:
    text = FRESH
    while text in known:
        text += "!"
    return text


def _lists(sets: set[frozenset[str]], also: Iterable[tuple[str, ...]]) -> list[FactValue]:
    """Every intersection of the allowed sets, with and without an item that is in none of them."""
    named: frozenset[str] = frozenset().union(*sets, *also)
    first = {named | {_fresh(named)}, *map(frozenset, also)}
    closed = set(first)
    for one in sorted(sets, key=sorted):
        closed |= {one & other for other in (closed if len(sets) <= MOST_LIST_BOUNDS else sets | first)}
    return [(), *(tuple(sorted(found)) for found in sorted(closed, key=sorted))]


def is_complete(name: str, constraints: Iterable[Constraint]) -> bool:
    """Whether the representatives distinguish all bounds; for a list with too many bounds they do not."""
    bounds = {spelled(b) for one in constraints for b in one.bounds if b.fact == name and b.subset_of is not None}
    return len(bounds) <= MOST_LIST_BOUNDS
