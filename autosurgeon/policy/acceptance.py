"""Search for evidence that a policy accepts, since a gate that nothing can pass looks like a strict one."""

from __future__ import annotations

from autosurgeon.core.decision import PHASES, Judgement, Phase, Verdict
from autosurgeon.policy.domains import typical_evidence
from autosurgeon.policy.evidence_values import OK, constraints_of
from autosurgeon.policy.judge import judge
from autosurgeon.policy.schema import Policy
from autosurgeon.policy.search import Found, Space, demand


def find_accepted(policy: Policy, phase: Phase) -> Found:
    """Search for evidence on which every binding rule of a phase passes or does not apply.

    Neither evidence nor a proof means that expressions prevent a proof: the search only samples their values.
    """
    constraints = constraints_of(policy, phase)
    return Space(constraints, typical_evidence(phase), tidy=True).nearest(demand((constraints, OK)))


def wrongly_refused(policy: Policy) -> tuple[Judgement, ...]:
    """The judgements that refuse evidence which the phase's own rules accept; none for a working gate."""
    found = ((phase, find_accepted(policy, phase).evidence) for phase in PHASES if policy.rules_of(phase))
    judged = [judge(policy, phase, evidence) for phase, evidence in found if evidence is not None]
    return tuple(judgement for judgement in judged if judgement.verdict != Verdict.ACCEPT)
