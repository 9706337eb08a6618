"""Problems of a valid policy: rules that never apply, are redundant, or contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from autosurgeon.core.decision import PHASES, Phase, Verdict
from autosurgeon.policy.acceptance import find_accepted
from autosurgeon.policy.domains import typical_evidence
from autosurgeon.policy.evidence_values import (
    APPLIES,
    FAILED,
    NOT_FAILED,
    OK,
    Constraint,
    constraints_of,
    representatives,
)
from autosurgeon.policy.rules import Result, check
from autosurgeon.policy.schema import Bounded, Policy, Rule
from autosurgeon.policy.search import Space, demand

Level = Literal["error", "warning", "note"]
Kind = Literal["contradictory", "unreachable", "redundant", "never-binds", "always-refuses", "unproven"]
ORDER: tuple[Level, ...] = ("error", "warning", "note")


class Finding(NamedTuple):
    """One problem, and the rule that it is reported for."""

    level: Level
    kind: Kind
    rule_id: str
    message: str


def find(policy: Policy) -> tuple[Finding, ...]:
    """The problems, the worst first; every expression counts as able to pass and to fail."""
    found = [finding for phase in PHASES for finding in _of_phase(policy, phase)]
    return tuple(sorted(found, key=lambda finding: ORDER.index(finding.level)))


def _of_phase(policy: Policy, phase: Phase) -> Iterator[Finding]:
    every = constraints_of(policy, phase, binding=False)
    space = Space(every, typical_evidence(phase), tidy=True)
    found = {one.rule.id: finding for one in every if (finding := _alone(space, one)) is not None}
    binding = [one for one in every if one.remedy != Verdict.ACCEPT and one.clause is None]
    sound = [one for one in binding if one.rule.id not in found]
    found |= {finding.rule_id: finding for finding in _contradictions(space, sound)}
    yield from found.values()
    if not any(finding.level == "error" for finding in found.values()) and not _holds(space, (binding, OK)):
        message = f"the rules of phase {phase!r} together leave nothing that could be accepted"
        yield Finding("error", "contradictory", binding[-1].rule.id, message)
    elif not any(finding.level == "error" for finding in found.values()):
        yield from _unaccepted(policy, phase)
    yield from _redundancies(space, [one for one in sound if one.rule.id not in found])


def _unaccepted(policy: Policy, phase: Phase) -> Iterator[Finding]:
    """The problem of a phase for which no accepted evidence was found."""
    accepted = find_accepted(policy, phase)
    binding = [one.rule for one in constraints_of(policy, phase) if one.rule in policy.rules]
    if accepted.evidence is not None or not binding:
        return
    if accepted.proven:
        message = f"the rules of phase {phase!r} accept only what is no evidence at all"
        yield Finding("error", "contradictory", binding[-1].id, message)
        return
    expressions = [rule.id for rule in binding if rule.expr is not None]
    message = (
        f"no evidence was found that phase {phase!r} accepts, nor a proof that there is none, because of "
        f"{', '.join(dict.fromkeys(expressions)) or 'its rules'}; the self-test leaves the phase out"
    )
    yield Finding("warning", "unproven", (expressions or [binding[-1].id])[0], message)


def _holds(space: Space, *groups: tuple[Sequence[Constraint], frozenset[Result]]) -> bool:
    """Whether some evidence gives these constraints these results."""
    found = space.nearest(demand(*groups))
    return found.evidence is not None or not found.proven


def _outcomes(bounded: Bounded, constraint: Constraint) -> set[bool | None]:
    """The results of a bound over all values of its fact, apart from missing."""
    values = representatives(bounded.fact, [constraint])
    return {check(bounded, {bounded.fact: value}).holds for value in values if value is not None}


def _alone(space: Space, constraint: Constraint) -> Finding | None:
    """The problem of a rule by itself."""
    rule = constraint.rule
    if rule.when is not None:
        spoken = _outcomes(rule.when, constraint)
        if True not in spoken:
            return Finding("warning", "unreachable", rule.id, f"its `when` never holds: {_no_value(rule.when)}")
        if False not in spoken and constraint.clause is not None:
            return _always_speaks(rule)
    if constraint.clause is not None:
        return None
    if not _holds(space, ([constraint], FAILED)):
        if False not in _outcomes(rule, constraint):
            message = f"{_every_value(rule)}; it only asks that the fact is there"
            return Finding("note", "never-binds", rule.id, message)
        message = f"wherever its `when` holds its bound holds too ({rule.fact} {rule.bound}), so it never objects"
        return Finding("warning", "unreachable", rule.id, message)
    if not _holds(space, ([constraint], frozenset({"passed"}))):
        if not _holds(space, ([constraint], frozenset({"skipped"}))) and constraint.remedy != Verdict.ACCEPT:
            message = f"{_no_value(rule)}, so nothing could ever be accepted in phase {rule.phase!r}"
            return Finding("error", "contradictory", rule.id, message)
        message = "no value meets it: it objects" + (" wherever its `when` holds" if rule.when else " always")
        return Finding("note", "always-refuses", rule.id, message)
    if rule.when is not None and False not in _outcomes(rule.when, constraint):
        return _always_speaks(rule)
    return None


def _always_speaks(rule: Rule) -> Finding:
    assert rule.when is not None
    message = f"its `when` {_every_value(rule.when).removeprefix('it ')}; it only asks that {rule.when.fact} is there"
    return Finding("note", "never-binds", rule.id, message)


def _every_value(bounded: Bounded) -> str:
    return f"it holds for every value of {bounded.fact} ({bounded.bound})"


def _no_value(bounded: Bounded) -> str:
    return f"no value of {bounded.fact} is {bounded.bound}"


def _contradictions(space: Space, rules: Sequence[Constraint]) -> Iterator[Finding]:
    """Pairs that can apply together and never hold together; each holds somewhere."""
    for index, later in enumerate(rules):
        for earlier in rules[:index]:
            if earlier.rule.fact != later.rule.fact or _holds(space, ([earlier, later], frozenset({"passed"}))):
                continue
            if _holds(space, ([earlier, later], APPLIES)):
                alone = earlier.rule.when is None and later.rule.when is None
                message = (
                    f"no value of {later.rule.fact} is both {later.rule.bound} and {earlier.rule.bound} "
                    f"({earlier.rule.id}), so nothing could ever be accepted"
                    + ("" if alone else " where both rules speak")
                )
                yield Finding("error", "contradictory", later.rule.id, message)


def _redundancies(space: Space, rules: Sequence[Constraint]) -> Iterator[Finding]:
    """Rules that another one covers: a warning for the same fact, else a note; of two equal rules the later."""
    gone: set[str] = set()
    for index, rule in reversed(list(enumerate(rules))):
        for at, other in enumerate(rules):
            shared = set(rule.facts) & set(other.facts)
            if at == index or other.rule.id in gone or not shared or not _covers(space, other, rule):
                continue
            if at > index and _covers(space, rule, other):
                continue  # both are equal, and this is the earlier one
            whole = not _holds(space, ([rule], frozenset({"missing"})), ([other], OK))
            same_fact = other.rule.fact == rule.rule.fact
            if not whole and not (same_fact and other.rule.when is None):
                continue
            gone.add(rule.rule.id)
            covering = f"{other.rule.id} ({other.rule.fact} {other.rule.bound}, {other.rule.otherwise})"
            kept = "" if whole else f"; it still asks that {rule.facts[0]} is there"
            message = f"wherever it refuses {covering} refuses too{kept}"
            yield Finding("warning" if same_fact else "note", "redundant", rule.rule.id, message)
            break


def _covers(space: Space, other: Constraint, rule: Constraint) -> bool:
    """Whether the other refuses with at least the same verdict wherever the rule fails."""
    if rule.remedy == Verdict.REJECT:
        return other.remedy == Verdict.REJECT and not _holds(space, ([rule], FAILED), ([other], NOT_FAILED))
    return not _holds(space, ([rule], FAILED), ([other], OK))
