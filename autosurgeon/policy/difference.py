"""Two policies held against each other, phase by phase: what one lets pass and the other refuses, on evidence."""

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
    """Evidence on which two policies come to two verdicts, and what each of them says of it."""

    evidence: Evidence
    a: Judgement
    b: Judgement


class Answer(NamedTuple):
    """A witness; or none, which is proven unless something leaves it open: `expression` or `rule`, with its id."""

    witness: Witness | None
    undecided: tuple[str, ...] = ()


class PhaseDifference(NamedTuple):
    """How B stands to A at a phase."""

    phase: Phase
    a_only: Answer
    """Evidence that A accepts and B does not."""
    b_only: Answer
    """Evidence that B accepts and A does not."""
    remedy: Answer
    """Evidence that both refuse, the one for good and the other in doubt."""

    @property
    def relation(self) -> Relation:
        """What B accepts, against what A accepts; `undecided` where the answer to one direction is open."""
        if self.a_only.witness and self.b_only.witness:
            return "incomparable"
        if self.a_only.undecided or self.b_only.undecided:
            return "undecided"
        return "tighter" if self.a_only.witness else "looser" if self.b_only.witness else "same"

    @property
    def undecided(self) -> tuple[str, ...]:
        """What leaves an answer open, each once."""
        return tuple(dict.fromkeys(self.a_only.undecided + self.b_only.undecided + self.remedy.undecided))

    @property
    def same(self) -> bool:
        """Proven to come to the same verdict on all evidence."""
        return self.relation == "same" and self.remedy.witness is None and not self.remedy.undecided


def diff(a: Policy, b: Policy) -> tuple[PhaseDifference, ...]:
    """Every phase, in order. The facts are taken as independent of each other, each within its domain."""
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
        """It has no rule for the phase, binding or not, and so accepts nothing."""
        return all(rule.phase != self.phase for rule in self.policy.rules)

    def rejecting(self) -> list[Constraint]:
        """The constraints that refuse for good."""
        return [one for one in self.constraints if one.remedy == Verdict.REJECT]


def _turned(answer: Answer) -> Answer:
    """With A and B in each other's place."""
    witness = answer.witness
    return answer if witness is None else answer._replace(witness=Witness(witness.evidence, witness.b, witness.a))


def _accepted_only_by(space: Space, one: Side, other: Side) -> Answer:
    """Evidence that meets every rule of the one and breaks a rule of the other."""
    if one.is_silent:
        return Answer(None)
    if other.is_silent:
        wishes = [demand((one.constraints, OK))]
    else:
        wishes = [demand((one.constraints, OK), ([broken], REFUSED)) for broken in other.constraints]
    return _first(space, wishes, one, other, lambda a, b: a == Verdict.ACCEPT != b)


def _refused_otherwise(space: Space, one: Side, other: Side) -> Answer:
    """Evidence that the one rejects, while the other refuses it too and rejects nothing."""
    lenient, valid = (other.rejecting(), NOT_FAILED), (built_in(one.phase), NOT_FAILED)
    # Evidence of which nobody knows whether it is any leaves a verdict open; evidence that is none is INVALID to both.
    doubts = [([doubt], REFUSED) for doubt in other.constraints] + ([([], OK)] if other.is_silent else [])
    wishes = (demand(([broken], FAILED), lenient, doubt, valid) for broken in one.rejecting() for doubt in doubts)
    return _first(space, wishes, one, other, lambda a, b: (a, b) == (Verdict.REJECT, Verdict.INCONCLUSIVE))


def _first(
    space: Space, wishes: Iterable[Demands | None], one: Side, other: Side, wanted: Callable[[Verdict, Verdict], bool]
) -> Answer:
    """The first wish that evidence fulfils, and the judge bears out; else the rules that leave it open."""
    undecided: dict[str, None] = {}
    for wish in wishes:
        found = space.nearest(wish)
        if wish is None or (found.evidence is None and found.proven):
            continue
        if found.evidence is not None:
            said = [judge(side.policy, side.phase, found.evidence) for side in (one, other)]
            if wanted(said[0].verdict, said[1].verdict):
                return Answer(Witness(found.evidence, said[0], said[1]))
        rules = [constraint.rule for constraint, _ in wish.values()]
        expressions = [f"expression {rule.id}" for rule in rules if rule.expr is not None]
        undecided |= dict.fromkeys(expressions or [f"rule {rule.id}" for rule in rules])
    return Answer(None, tuple(undecided))
