"""What a policy can refuse before a phase's evidence is whole: the loop asks, and saves the rest of the work."""

from __future__ import annotations

from collections.abc import Mapping

from autosurgeon.core.decision import Evidence, RuleResult, Verdict
from autosurgeon.policy.judge import verdict_of
from autosurgeon.policy.reach import Reach, names_in_rule, will_hold
from autosurgeon.policy.rules import apply_rule
from autosurgeon.policy.schema import Policy


def refuses_early(policy: Policy, evidence: Evidence, reach: Mapping[str, Reach]) -> RuleResult | None:
    """The binding rule by which a bench that is under way is lost already, whatever the rest of it brings.

    Closed by default: a rule speaks only where it will fail for all that its facts can still become, and where the
    evidence of a bench that ends here gets the same verdict of it: a fact that is missing then holds a pack and rejects
    none. A rule that rejects comes first, since a pack that is only held may still have something to tell.

    Args:
        policy: its rules of a promotion are asked.
        evidence: what would be known if the bench ended here.
        reach: what its facts can still come to.

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
    """Whether no rule of a promotion that names one of the facts can still come to another result."""
    return all(
        None not in will_hold(rule, evidence, reach, policy.param_values)
        for rule in policy.rules_of("promotion")
        if names_in_rule(rule) & set(facts)
    )


def names_any(policy: Policy, facts: tuple[str, ...]) -> bool:
    """Whether a rule of a promotion names one of the facts."""
    return any(names_in_rule(rule) & set(facts) for rule in policy.rules_of("promotion"))


def most_lost(policy: Policy, fact: str = "smoke.lost") -> float | None:
    """How many lost anchors end a smoke, since the policy refuses one more than it allows; None: run them all.

    Args:
        policy: what is asked.
        fact: that counts them; `anchors.lost` for a bench.

    """
    bounds = [
        rule.at_most
        for rule in policy.rules
        if rule.fact == fact and rule.at_most is not None and rule.when is None
        if rule.mode == "enforce" and rule.otherwise in ("reject", "hold")
    ]
    return min(bounds, default=None)
