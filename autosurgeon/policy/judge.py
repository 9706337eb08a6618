"""The judge: a pure function of policy and evidence.

Every rule is evaluated, the worst one decides, and doubt never promotes.
"""

from __future__ import annotations

from autosurgeon.core.decision import Evidence, Judgement, Phase, RuleResult, Verdict, worst
from autosurgeon.policy.facts import BY_NAME
from autosurgeon.policy.rules import apply_rule, is_no_number
from autosurgeon.policy.schema import Policy

MOST_SHOWN = 3
REMEDY = {"reject": Verdict.REJECT, "revert": Verdict.REJECT, "hold": Verdict.INCONCLUSIVE}


def verdict_of(result: RuleResult) -> Verdict:
    """What one rule says alone. `stop` and `warn` never decide; audit rules are measured, not binding."""
    if result.mode == "audit" or result.result in ("passed", "skipped") or result.otherwise not in REMEDY:
        return Verdict.ACCEPT
    return Verdict.INCONCLUSIVE if result.result == "missing" else REMEDY[result.otherwise]


def judge(policy: Policy, phase: Phase, evidence: Evidence) -> Judgement:
    """Judge one phase.

    With no rule for the phase the verdict is INCONCLUSIVE: silence is no consent.
    """
    results = tuple(
        result
        for rule in policy.rules
        if rule.phase == phase
        for result in apply_rule(rule, evidence, policy.param_values)
    )
    verdict = worst([verdict_of(result) for result in results] or [Verdict.INCONCLUSIVE])
    deciding = [result for result in results if verdict_of(result) == verdict and verdict != Verdict.ACCEPT]
    if not results:
        reason = f"no rule speaks for phase {phase!r}"
    elif deciding:
        reason = "; ".join(explain(result, evidence) for result in deciding)
    else:
        spoke = [result.rule_id for result in results if result.result in ("failed", "missing")]
        reason = f"{sum(result.result == 'passed' for result in results)} of {len(results)} rules passed, none objects"
        reason += f"; noted: {', '.join(spoke)}" if spoke else ""
    return Judgement(
        phase=phase,
        verdict=verdict,
        rules=results,
        evidence={fact: None if is_no_number(value) else value for fact, value in sorted(evidence.items())},
        policy=policy.name,
        policy_digest=policy.digest,
        reason=reason,
        params=policy.param_values,
    )


def explain(result: RuleResult, evidence: Evidence) -> str:
    """One line: the rule, what was seen, what was wanted, and the names of what was counted, where there are any."""
    line = f"{result.rule_id}: {result.fact} is {result.seen}, wanted {result.bound}"
    counted = [BY_NAME[name] for name in result.fact.split(" and ") if name in BY_NAME]
    names = evidence.get(next((fact.named_by for fact in counted if fact.named_by), ""))
    if not isinstance(names, tuple) or not names:
        return line
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    return f"{line}: {', '.join(names[:MOST_SHOWN])}{more}"
