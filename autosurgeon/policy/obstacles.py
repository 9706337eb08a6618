"""Whether a policy can accept any pass, given what is known of its facts before the pass. Pure.

For rules with a fact and a bound the search is a proof. An expression counts as able to hold unless it fails for all
values of its facts; so each obstacle found is real, and some may not be found.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from autosurgeon.core.decision import Evidence, FactValue, Phase, Scalar
from autosurgeon.policy.domains import known_fact, typical, typical_evidence
from autosurgeon.policy.evidence_values import OK, Constraint, constraints_of
from autosurgeon.policy.facts import known_at
from autosurgeon.policy.reach import is_monotone
from autosurgeon.policy.rules import Result, check_clause
from autosurgeon.policy.schema import Policy, Rule
from autosurgeon.policy.search import Space, demand

PHASES_OF_A_PASS: tuple[Phase, ...] = ("proposal", "training", "smoke", "merge", "promotion", "watch")
MOST_CORNERS = 6
"""Facts of one expression whose ends are tried in every combination."""
PASSED: frozenset[Result] = frozenset({"passed"})
MISSING: frozenset[Result] = frozenset({"missing"})


class Known(NamedTuple):
    """What is known of a fact before any pass: its two ends, its one value, or that it is always missing."""

    fact: str
    words: str
    """The reason, for people who do not know the fact."""
    remedy: str
    """What to do where it is an obstacle."""
    least: float | None = None
    most: float | None = None
    equals: Scalar | None = None
    missing: bool = False

    @property
    def ends(self) -> tuple[FactValue, ...]:
        """The values between which it lies; none where an end is open or the fact is missing."""
        if self.equals is not None:
            return (self.equals,)
        return () if self.least is None or self.most is None else tuple({self.least, self.most})


class Obstacle(NamedTuple):
    """Why no pass is accepted at a phase."""

    phase: Phase
    rules: tuple[str, ...]
    """The rules that cannot hold: one, or several together."""
    wanted: str
    """The bound of the first of them."""
    words: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.words} ({' and '.join(self.rules)}: wanted {self.wanted}); {self.remedy}"


def obstacles(policy: Policy, known: Sequence[Known]) -> tuple[Obstacle, ...]:
    """What prevents every pass from being accepted, the earliest phase first, each cause once; none where one may be.

    Args:
        policy: the policy in force.
        known: what is known of facts, each named once, the most informative first.

    """
    found: dict[str, Obstacle] = {}
    for phase in PHASES_OF_A_PASS:
        here = [one for one in known if known_at(known_fact(one.fact), phase)]
        for obstacle in _of_phase(policy, phase, here):
            found.setdefault(obstacle.words, obstacle)
    return tuple(found.values())


def _of_phase(policy: Policy, phase: Phase, known: Sequence[Known]) -> Iterator[Obstacle]:
    by_fact = {one.fact: one for one in known}
    every = constraints_of(policy, phase)
    touched = [one for one in every if by_fact.keys() & set(one.facts)]
    alone = [one for one in touched if not _can_be_met(phase, [one], by_fact)]
    for constraint in alone:
        yield _obstacle(phase, [constraint], known)
    if touched and not alone and not _can_be_met(phase, every, by_fact):
        core = _core(phase, every, by_fact)
        # `policy check` finds rules that contradict each other whatever is known.
        if any(by_fact.keys() & set(one.facts) for one in core):
            yield _obstacle(phase, core, known)


def _core(phase: Phase, constraints: Sequence[Constraint], known: Mapping[str, Known]) -> list[Constraint]:
    """A smallest part of these constraints that still cannot be met together."""
    core = [one for one in constraints if one.clause is None]
    for one in list(core):
        rest = [other for other in core if other is not one]
        if not _can_be_met(phase, rest, known):
            core = rest
    return core


def _obstacle(phase: Phase, core: Sequence[Constraint], known: Sequence[Known]) -> Obstacle:
    facts = {fact for constraint in core for fact in constraint.facts}
    cause = next(one for one in known if one.fact in facts)
    first = core[0]
    wanted = first.clause.source if first.clause is not None else f"{first.rule.fact} {first.rule.bound}"
    return Obstacle(phase, tuple(dict.fromkeys(one.rule.id for one in core)), wanted, cause.words, cause.remedy)


def _can_be_met(phase: Phase, constraints: Sequence[Constraint], known: Mapping[str, Known]) -> bool:
    """Whether evidence within what is known meets all constraints, or nothing proves the contrary."""
    if any(one.clause is not None and _fails(one, known) for one in constraints):
        return False
    bounded = [one for one in constraints if one.clause is None]
    facts = {fact for constraint in bounded for fact in constraint.facts}
    given = [pair for fact in facts & known.keys() for pair in _as_constraints(phase, known[fact])]
    space = Space([*bounded, *(one for one, _ in given)], typical_evidence(phase), tidy=True)
    found = space.nearest(demand((bounded, OK), *(([one], wanted) for one, wanted in given)))
    return found.evidence is not None or not found.proven


def _as_constraints(phase: Phase, known: Known) -> Iterator[tuple[Constraint, frozenset[Result]]]:
    """What is known as rules, each with the result that it has in every pass."""
    bounds: list[dict[str, object]] = []
    if known.missing:
        value = typical(known.fact)
        bounds = [{"subset_of": ["a"]} if isinstance(value, tuple) else {"equals": value}]
    elif known.equals is not None:
        bounds = [{"equals": known.equals}]
    else:
        bounds += [] if known.least is None else [{"at_least": known.least}]
        bounds += [] if known.most is None else [{"at_most": known.most}]
    for bound in bounds:
        content = {"id": "known", "phase": phase, "fact": known.fact, "lesson": "known"} | bound
        content["otherwise"] = "revert" if phase == "watch" else "reject"
        rule = Rule.model_validate(content)
        key = f"{'missing' if known.missing else 'known'} {known.fact} {bound!r}"
        yield Constraint(rule, None, (), key, (known.fact,)), MISSING if known.missing else PASSED


def _fails(constraint: Constraint, known: Mapping[str, Known]) -> bool:
    """Whether an expression without a condition fails, or lacks a fact, in every pass."""
    clause, condition = constraint.clause, constraint.rule.when
    assert clause is not None  # checked by the caller
    if condition is not None:
        # A rule whose condition is missing does not pass, whatever its expression results in.
        return condition.fact in known and known[condition.fact].missing
    names = constraint.facts
    if any(name in known and known[name].missing for name in names):
        return True
    if not all(name in known and known[name].ends for name in names):
        return False
    unsettled = [name for name in names if len(known[name].ends) > 1]
    if len(unsettled) > MOST_CORNERS or not all(is_monotone(clause.source, name) for name in unsettled):
        return False
    # The clause is linear in each fact, so one that fails at all corners fails everywhere between them.
    for corner in itertools.product(*(known[name].ends for name in names)):
        evidence: Evidence = dict(zip(names, corner, strict=True))
        if check_clause(clause, evidence, dict(constraint.params)).holds is not False:
            return False
    return True
