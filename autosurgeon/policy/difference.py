"""The difference of two policies, phase by phase: evidence that one accepts and the other refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from autosurgeon.core.decision import PHASES, Evidence, Judgement, Phase, Verdict
from autosurgeon.policy.domains import typical_evidence
from autosurgeon.policy.evidence_values import FAILED, NOT_FAILED, OK, REFUSED, Constraint, built_in, constraints_of
from autosurgeon.policy.judge import judge
from autosurgeon.policy.schema import Policy
from autosurgeon.policy.search import Demands, Space, demand

Relation = Literal["same", "tighter", "looser", "incomparable", "undecided"]


class Witness(NamedTuple):
    """Evidence on which the verdicts of two policies differ, and both judgements."""

    evidence: Evidence
    a: Judgement
    b: Judgement


class Answer(NamedTuple):
    """A witness; or a proof that there is none, unless `undecided` names an `expression` or `rule` with its id."""

    witness: Witness | None
    undecided: tuple[str, ...] = ()


class PhaseDifference(NamedTuple):
    """How B differs from A at a phase."""

    phase: Phase
    a_only: Answer
    """Evidence that A accepts and B does not."""
    b_only: Answer
    """Evidence that B accepts and A does not."""
    remedy: Answer
    """Evidence that one rejects and the other leaves inconclusive."""

    @property
    def relation(self) -> Relation:
        """What B accepts, relative to A; `undecided` where the answer to one direction is open."""
        if self.a_only.witness and self.b_only.witness:
            return "incomparable"
        if self.a_only.undecided or self.b_only.undecided:
            return "undecided"
        return "tighter" if self.a_only.witness else "looser" if self.b_only.witness else "same"

    @property
    def undecided(self) -> tuple[str, ...]:
        """What leaves an answer open, without repetition."""
        return tuple(dict.fromkeys(self.a_only.undecided + self.b_only.undecided + self.remedy.undecided))

    @property
    def same(self) -> bool:
        """Whether both are proven to give the same verdict on all evidence."""
        return self.relation == "same" and self.remedy.witness is None and not self.remedy.undecided


def diff(a: Policy, b: Policy) -> tuple[PhaseDifference, ...]:
    """Compare every phase, in order. Facts count as independent of each other, each within its domain."""
    return tuple(_diff_phase(a, b, phase) for phase in PHASES)


def _diff_phase(a: Policy, b: Policy, phase: Phase) -> PhaseDifference:
    of_a, of_b = (constraints_of(policy, phase) for policy in (a, b))
    space = Space((*of_a, *of_b), typical_evidence(phase), tidy=True)
    one, other = Side(a, of_a, phase), Side(b, of_b, phase)
    remedy = _refused_otherwise(space, one, other)
    if remedy.witness is None:
        turned = _turned(_refused_otherwise(space, other, one))
        remedy = Answer(turned.witness, () if turned.witness else remedy.undecided + turned.undecided)
    return PhaseDifference(
        phase, _accepted_only_by(space, one, other), _turned(_accepted_only_by(space, other, one)), remedy
    )


class Side(NamedTuple):
    """A policy at a phase, with its binding constraints there."""

    policy: Policy
    constraints: tuple[Constraint, ...]
    phase: Phase

    @property
    def is_silent(self) -> bool:
        """Whether it has no rule for the phase, binding or not, and so accepts nothing."""
        return all(rule.phase != self.phase for rule in self.policy.rules)

    def rejecting(self) -> list[Constraint]:
        """The constraints that reject."""
        return [one for one in self.constraints if one.remedy == Verdict.REJECT]


def _turned(answer: Answer) -> Answer:
    """The answer with A and B exchanged."""
    witness = answer.witness
    return answer if witness is None else answer._replace(witness=Witness(witness.evidence, witness.b, witness.a))


def _accepted_only_by(space: Space, one: Side, other: Side) -> Answer:
    """Evidence that meets every rule of one and breaks a rule of the other."""
    if one.is_silent:
        return Answer(None)
    if other.is_silent:
        demanded = [demand((one.constraints, OK))]
    else:
        demanded = [demand((one.constraints, OK), ([broken], REFUSED)) for broken in other.constraints]
    return _first(space, demanded, one, other, lambda a, b: a == Verdict.ACCEPT != b)


def _refused_otherwise(space: Space, one: Side, other: Side) -> Answer:
    """Evidence that one rejects and the other leaves inconclusive."""
    lenient, valid = (other.rejecting(), NOT_FAILED), (built_in(one.phase), NOT_FAILED)
    # Evidence of unknown validity leaves a verdict open; invalid evidence is INVALID under both policies.
    doubts = [([doubt], REFUSED) for doubt in other.constraints] + ([([], OK)] if other.is_silent else [])
    demanded = (demand(([broken], FAILED), lenient, doubt, valid) for broken in one.rejecting() for doubt in doubts)
    return _first(space, demanded, one, other, lambda a, b: (a, b) == (Verdict.REJECT, Verdict.INCONCLUSIVE))


def _first(
    space: Space, demanded: Iterable[Demands | None], one: Side, other: Side, wanted: Callable[[Verdict, Verdict], bool]
) -> Answer:
    """A witness of the first demands that evidence meets and the judge confirms; else the rules that leave it open."""
    undecided: dict[str, None] = {}
    for demands in demanded:
        found = space.nearest(demands)
        if demands is None or (found.evidence is None and found.proven):
            continue
        if found.evidence is not None:
            judged = [judge(side.policy, side.phase, found.evidence) for side in (one, other)]
            if wanted(judged[0].verdict, judged[1].verdict):
                return Answer(Witness(found.evidence, judged[0], judged[1]))
        rules = [constraint.rule for constraint, _ in demands.values()]
        expressions = [f"expression {rule.id}" for rule in rules if rule.expr is not None]
        undecided |= dict.fromkeys(expressions or [f"rule {rule.id}" for rule in rules])
    return Answer(None, tuple(undecided))
