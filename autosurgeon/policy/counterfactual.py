"""The smallest change of evidence that flips a verdict: fewest facts, then least change, checked by the judge."""

from __future__ import annotations

import math
from typing import NamedTuple

from autosurgeon.core.decision import Evidence, FactValue, Judgement, Phase, Verdict
from autosurgeon.policy.evidence_values import APPLIES, OK, Constraint, constraints_of
from autosurgeon.policy.judge import judge, verdict_of
from autosurgeon.policy.schema import Policy
from autosurgeon.policy.search import Found, Space, demand

MOST_DIGITS = 12


class Change(NamedTuple):
    """One changed fact: from the observed value (None: missing) to the nearest one that flips the verdict."""

    fact: str
    observed: FactValue
    value: FactValue
    wanted: str
    """The bounds that require the change, in words."""

    def __str__(self) -> str:
        if self.observed is None:
            return f"{self.fact}: must be known, and {self.wanted or 'anything'}"
        return f"{self.fact}: {_shown(self.observed)} -> {_shown(self.value)}" + f" ({self.wanted})" * bool(self.wanted)


class Counterfactual(NamedTuple):
    """The verdict, and the change that flips it; no changes where none was found."""

    judgement: Judgement
    flipped: Judgement | None
    """The judgement of the changed evidence."""
    changes: tuple[Change, ...]
    smallest: bool
    """Proven: no smaller change flips it or, without changes, none does."""
    undecided: tuple[str, ...] = ()
    """The rules whose expressions prevent a proof."""

    @property
    def summary(self) -> str:
        """The answer in one line."""
        wanted = "refused" if self.judgement.verdict == Verdict.ACCEPT else "accepted"
        because = f" (because of the expression of {', '.join(self.undecided)})" if self.undecided else ""
        if self.flipped is None:
            one = "one known fact" if wanted == "refused" else "facts"
            return (
                f"no change of {one} would have it {wanted}"
                if self.smallest
                else f"no change of {one} was found that would have it {wanted}, and there may be one{because}"
            )
        size = "the smallest change" if self.smallest else f"a change, and perhaps not the smallest{because},"
        facts = "1 fact" if len(self.changes) == 1 else f"{len(self.changes)} facts"
        return f"{size} that would have it {wanted}, of {facts}: {'; '.join(map(str, self.changes))}"


def first_deciding(judgement: Judgement) -> str | None:
    """The first rule that decided the verdict; None for an acceptance."""
    if judgement.verdict == Verdict.ACCEPT:
        return None
    return next((rule.rule_id for rule in judgement.rules if verdict_of(rule) == judgement.verdict), None)


def counterfactual(policy: Policy, phase: Phase, evidence: Evidence) -> Counterfactual:
    """The smallest change of facts that flips the verdict of a policy on evidence.

    For a refusal it is the fewest facts, then the least sum of changes relative to the observed values. For an
    acceptance it is the one fact that moves least; a missing fact, which always refuses, does not count.
    """
    judgement = judge(policy, phase, evidence)
    constraints = constraints_of(policy, phase)
    flip = _to_refuse if judgement.verdict == Verdict.ACCEPT else _to_accept
    return flip(policy, judgement, constraints)


def _to_accept(policy: Policy, judgement: Judgement, constraints: tuple[Constraint, ...]) -> Counterfactual:
    phase, evidence = judgement.phase, judgement.evidence  # as judged: without NaN and infinities
    found = Found(None, True)
    if policy.rules_of(phase):  # a phase without rules accepts no evidence
        found = Space(constraints, evidence, tidy=False).nearest(demand((constraints, OK)))
    if found.evidence is None:
        return Counterfactual(judgement, None, (), found.proven, () if found.proven else _expressions(constraints))
    flipped = judge(policy, phase, found.evidence)
    if flipped.verdict != Verdict.ACCEPT:
        return Counterfactual(judgement, None, (), False, _expressions(constraints))
    changes = _changes(constraints, evidence, found.evidence)
    undecided = () if found.proven else _expressions(constraints)
    return Counterfactual(judgement, flipped, changes, found.proven, undecided)


def _changes(constraints: tuple[Constraint, ...], before: Evidence, after: Evidence) -> tuple[Change, ...]:
    return tuple(
        Change(name, before.get(name), value, _wanted(constraints, name, before, after))
        for name, value in after.items()
        if (type(value), value) != (type(before.get(name)), before.get(name))
    )


def _wanted(constraints: tuple[Constraint, ...], name: str, before: Evidence, after: Evidence) -> str:
    """The bounds on a fact that apply after the change, and the conditions that no longer hold."""
    bounds: dict[str, None] = {}
    silent: dict[str, list[str]] = {}
    for one in constraints:
        if name not in one.facts:
            continue
        result = one.result(after)
        if one.clause is None and one.rule.fact == name and result in APPLIES:
            bounds[one.rule.bound] = None
        elif one.clause is not None and name in one.clause.names and result in APPLIES:
            bounds[one.clause.source] = None
        elif one.rule.when is not None and one.rule.when.fact == name and result == "skipped" != one.result(before):
            silent.setdefault(one.rule.when.bound, []).append(one.rule.id)
    quiet = [f"not {bound}, which silences {' and '.join(rules)}" for bound, rules in silent.items()]
    return " and ".join([*bounds, *quiet])


def _to_refuse(policy: Policy, judgement: Judgement, constraints: tuple[Constraint, ...]) -> Counterfactual:
    evidence, expressions = judgement.evidence, _expressions(constraints)
    space = Space(constraints, evidence, tidy=False)
    proven = space.complete and not expressions
    moves = [
        (cost, name, value)
        for name, values in space.values.items()
        for cost, value in values
        if value is not None and evidence.get(name) is not None
    ]
    for _, name, value in sorted(moves, key=lambda move: move[0]):
        changed = evidence | {name: value}
        broken = [one for one in constraints if name in one.facts and one.result(changed) not in OK]
        flipped = judge(policy, judgement.phase, changed) if broken else judgement
        if flipped.verdict != Verdict.ACCEPT:
            wanted = ", ".join(f"{one.rule.id} wants {_bound(one)}" for one in broken)
            change = Change(name, evidence[name], value, wanted)
            return Counterfactual(judgement, flipped, (change,), proven, expressions)
    return Counterfactual(judgement, None, (), proven, expressions)


def _expressions(constraints: tuple[Constraint, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.rule.id for one in constraints if one.clause is not None))


def _bound(constraint: Constraint) -> str:
    return constraint.clause.source if constraint.clause is not None else constraint.rule.bound


def _shown(value: FactValue) -> str:
    """A value for people; a double next to a round number by that number."""
    if isinstance(value, tuple):
        return f"[{', '.join(value)}]"
    if isinstance(value, float) and len(repr(value)) > MOST_DIGITS:
        for word, towards in (("above", -math.inf), ("below", math.inf)):
            beside = math.nextafter(value, towards)
            if len(repr(beside)) <= MOST_DIGITS:
                return f"just {word} {beside}"
    return f"{value}"
