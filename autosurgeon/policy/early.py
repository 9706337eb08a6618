"""What a policy can refuse before a phase's evidence is whole: the loop asks, and saves the rest of the work."""

from __future__ import annotations

from autosurgeon.core.decision import Evidence, RuleResult
from autosurgeon.policy.expression import PARAMS, clauses_of
from autosurgeon.policy.facts import fact_of, known_at
from autosurgeon.policy.rules import apply_rule
from autosurgeon.policy.schema import Policy, Rule

ANYTIME = "gate.e_regression"
"""The one fact of a promotion that may be looked at after every task."""


def refuses_early(policy: Policy, evidence: Evidence) -> RuleResult | None:
    """The rule by which a bench that is under way is lost already, whatever the rest of it brings.

    Only rules that turn on the anytime fact and on what is known before a promotion may speak: any other fact of it can
    still change for the better.
    """
    for rule in policy.rules_of("promotion"):
        if rule.mode == "enforce" and rule.otherwise in ("reject", "hold") and _may_speak_early(rule):
            for result in apply_rule(rule, evidence, policy.param_values):
                if result.result == "failed":
                    return result
    return None


def _may_speak_early(rule: Rule) -> bool:
    names = {rule.fact} if rule.expr is None else {name for clause in clauses_of(rule.expr) for name in clause.names}
    names |= {rule.when.fact} if rule.when else set()
    facts = [fact_of(name) for name in names if not name.startswith(PARAMS) and name != ANYTIME]
    return ANYTIME in names and all(fact is not None and known_at(fact, "merge") for fact in facts)


def most_lost(policy: Policy) -> float | None:
    """How many lost anchors end a smoke, since the policy refuses one more than it allows; None: run them all."""
    bounds = [
        rule.at_most
        for rule in policy.rules_of("smoke")
        if rule.fact == "smoke.lost" and rule.at_most is not None and rule.when is None
        if rule.mode == "enforce" and rule.otherwise in ("reject", "hold")
    ]
    return min(bounds, default=None)
