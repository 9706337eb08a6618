"""Early refusal: end a bench whose refusal is certain before all of it has run."""

from __future__ import annotations

from collections.abc import Mapping

from autosurgeon.core.decision import Evidence, RuleResult, Verdict
from autosurgeon.policy.judge import verdict_of
from autosurgeon.policy.reach import Reach, names_in_rule, will_hold
from autosurgeon.policy.rules import apply_rule
from autosurgeon.policy.schema import Policy


def refuses_early(policy: Policy, evidence: Evidence, reach: Mapping[str, Reach]) -> RuleResult | None:
    """The binding rule that will refuse the pack of a running bench, whatever its remaining tasks bring.

    A rule counts only where it fails for every value that its facts can still take, and gives the same verdict on the
    evidence of a bench that ends here: a fact that is then missing holds a pack and does not reject it. A rule that
    rejects comes first, since the rest of the bench may still inform about a pack that is only held.

    Args:
        policy: whose promotion rules are applied.
        evidence: the evidence if the bench ended here.
        reach: the values that its facts can still take.

    """
    held: RuleResult | None = None
    for rule in policy.rules_of("promotion"):
        if rule.mode != "enforce" or rule.otherwise not in ("reject", "hold"):
            continue
        settled = will_hold(rule, evidence, reach, policy.param_values)
        if False not in settled:
            continue
        result = apply_rule(rule, evidence, policy.param_values)[settled.index(False)]
        if rule.otherwise == "reject" and result.result == "failed":
            return result
        if rule.otherwise == "hold" and verdict_of(result) == Verdict.INCONCLUSIVE:
            held = held or result
    return held


def is_settled(policy: Policy, evidence: Evidence, reach: Mapping[str, Reach], facts: tuple[str, ...]) -> bool:
    """Whether the result of every promotion rule that names one of the facts is final."""
    return all(
        None not in will_hold(rule, evidence, reach, policy.param_values)
        for rule in policy.rules_of("promotion")
        if names_in_rule(rule) & set(facts)
    )


def names_any(policy: Policy, facts: tuple[str, ...]) -> bool:
    """Whether a rule of a promotion names one of the facts."""
    return any(names_in_rule(rule) & set(facts) for rule in policy.rules_of("promotion"))


def most_lost(policy: Policy, fact: str = "smoke.lost") -> float | None:
    """The number of lost anchors at which a smoke ends, since the policy refuses it; None: run them all.

    Args:
        policy: the policy in force.
        fact: the fact that counts them; `anchors.lost` for a bench.

    """
    bounds = [
        rule.at_most
        for rule in policy.rules
        if rule.fact == fact and rule.at_most is not None and rule.when is None
        if rule.mode == "enforce" and rule.otherwise in ("reject", "hold")
    ]
    return min(bounds, default=None)
