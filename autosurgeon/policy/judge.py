"""The judge: a pure function of policy and evidence.

Every rule is evaluated, the worst result decides, and doubt never promotes. Under any policy, evidence that fails a
check of `VALIDITY` makes the verdict INVALID.
"""

from __future__ import annotations

from typing import NamedTuple

from autosurgeon.core.decision import Evidence, FactValue, Judgement, Phase, RuleResult, Verdict, worst
from autosurgeon.policy.domains import is_possible, possible_values
from autosurgeon.policy.facts import fact_of
from autosurgeon.policy.rules import apply_rule, check, is_no_number, reason_of
from autosurgeon.policy.schema import Bounded, Policy, Rule

MOST_SHOWN = 3
REMEDY = {
    "invalid": Verdict.INVALID,
    "reject": Verdict.REJECT,
    "revert": Verdict.REJECT,
    "hold": Verdict.INCONCLUSIVE,
}


class Validity(NamedTuple):
    """A bound that valid evidence of a phase meets; where its fact is missing nothing is accepted."""

    rule_id: str
    phase: Phase
    bounded: Bounded
    lesson: str


VALIDITY = (
    Validity(
        "valid-gate",
        "proposal",
        Bounded(fact="selftest.failed", at_most=0),
        "A gate that fails its self-test is closed, since its verdicts cannot be trusted.",
    ),
    Validity(
        "valid-tasks",
        "promotion",
        Bounded(fact="bench.tasks", at_least=1),
        "An empty result is no evidence about a pack.",
    ),
    Validity(
        "valid-conditions",
        "promotion",
        Bounded(fact="bench.same_conditions", equals=True),
        "Greedy answers change with batch and library versions, so scores of other conditions do not compare.",
    ),
    Validity(
        "valid-mode",
        "promotion",
        Bounded(fact="bench.fallbacks", at_most=0),
        "Mode B is the organ alone; a run with a fallback's answer is not mode B.",
    ),
    Validity(
        "valid-route",
        "promotion",
        Bounded(fact="bench.foreign", at_most=0),
        "A bench whose route leaks to another handler measures that handler.",
    ),
    Validity(
        "valid-watch",
        "watch",
        Bounded(fact="watch.canary_tasks", at_least=1),
        "A watch without tasks is no evidence about a pack.",
    ),
)


def verdict_of(result: RuleResult) -> Verdict:
    """The verdict of one rule alone. `stop` and `warn` never decide; audit rules are measured, not binding."""
    if result.mode == "audit" or result.result in ("passed", "skipped") or result.otherwise not in REMEDY:
        return Verdict.ACCEPT
    if result.result == "error":
        return Verdict.ERROR
    return Verdict.INCONCLUSIVE if result.result == "missing" else REMEDY[result.otherwise]


def judge(policy: Policy, phase: Phase, evidence: Evidence) -> Judgement:
    """Judge one phase; any evidence gives a judgement.

    Without a rule for the phase the verdict is INCONCLUSIVE.
    """
    evidence = _recordable(evidence)
    ruled = [result for rule in policy.rules_of(phase) for result in _apply(rule, evidence, policy)]
    results = (*_impossible(evidence), *invalidities(phase, evidence), *ruled)
    unknown = _unknown(phase, evidence)
    silent = [Verdict.INCONCLUSIVE] if unknown or not ruled else []
    verdict = worst([*{verdict_of(result) for result in results}, *silent])
    deciding = [] if verdict == Verdict.ACCEPT else [result for result in results if verdict_of(result) == verdict]
    if deciding:
        # A failure comes before a missing fact: a bench that one rule ended early leaves most facts missing.
        failed_first = sorted(deciding, key=lambda result: result.result == "missing")
        reason = "; ".join(explain(result, evidence) for result in failed_first)
    elif not ruled:
        reason = f"no rule speaks for phase {phase!r}"
    elif unknown:
        reason = f"whether this is evidence at all is not known: {', '.join(unknown)} is missing"
    else:
        spoke = [result.rule_id for result in results if result.result in ("failed", "missing", "error")]
        reason = f"{sum(result.result == 'passed' for result in results)} of {len(results)} rules passed, none objects"
        reason += f"; noted: {', '.join(spoke)}" if spoke else ""
    # The values are checked above; validating them again would take a tenth of the judgement's time.
    return Judgement.model_construct(
        phase=phase,
        verdict=verdict,
        rules=results,
        evidence=evidence,
        policy=policy.name,
        policy_digest=policy.digest,
        reason=reason,
        params=dict(policy.param_values),
    )


def _recordable(evidence: Evidence) -> Evidence:
    """The evidence as a decision holds it, sorted by name; a value that no fact can have becomes None."""
    return {name if name.isascii() else _text(name): _value(evidence[name]) for name in sorted(evidence)}


def _value(value: object) -> FactValue:
    if isinstance(value, (int, float)):
        return None if is_no_number(value) else value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, tuple) and all(isinstance(item, str) for item in value):
        return tuple(map(_text, value))
    return None


def _text(text: str) -> str:
    r"""Replace a lone surrogate (`"\ud800"`), which JSON can spell and UTF-8, and so a decision, cannot."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _apply(rule: Rule, evidence: Evidence, policy: Policy) -> tuple[RuleResult, ...]:
    """The rule's results; a rule that raises becomes one ERROR and hides no other rule."""
    try:
        return apply_rule(rule, evidence, policy.param_values)
    except Exception as error:
        fields = rule.model_dump(include={"otherwise", "mode", "lesson", "severity"})
        return (
            RuleResult(
                rule_id=rule.id,
                result="error",
                fact=rule.fact or "an expression",
                observed=None,
                bound=rule.expr or rule.bound,
                margin=None,
                reason=f"could not be evaluated: {type(error).__name__}: {error}",
                **fields,
            ),
        )


IMPOSSIBLE = "valid-evidence"
"""The rule by which a value that its fact cannot have makes a verdict INVALID, whatever the phase."""


def _impossible(evidence: Evidence) -> list[RuleResult]:
    """The facts whose values are outside their types and domains, such as a count below zero or a text for a number."""
    return [
        _invalid(IMPOSSIBLE, name, value, possible_values(name), "A measurement that cannot be measures nothing.")
        for name, value in evidence.items()
        if not is_possible(name, value)
    ]


def _invalid(
    rule_id: str, fact: str, observed: FactValue, bound: str, lesson: str, margin: float | None = None
) -> RuleResult:
    return RuleResult(
        rule_id=rule_id,
        result="failed",
        fact=fact,
        observed=observed,
        bound=bound,
        margin=margin,
        otherwise="invalid",
        mode="enforce",
        lesson=lesson,
        severity="critical",
        reason=reason_of("failed", observed, bound),
    )


def _unknown(phase: Phase, evidence: Evidence) -> list[str]:
    """The missing facts that the validity of the evidence depends on: leaving one out must not help a pack."""
    return [v.bounded.fact for v in VALIDITY if v.phase == phase and check(v.bounded, evidence).holds is None]


def invalidities(phase: Phase, evidence: Evidence) -> list[RuleResult]:
    """What makes the evidence invalid under any policy; a missing fact does not."""
    found = []
    for validity in VALIDITY:
        checked = check(validity.bounded, evidence) if validity.phase == phase else None
        if checked is None or checked.holds is not False:
            continue
        bounded = validity.bounded
        found.append(
            _invalid(validity.rule_id, bounded.fact, checked.observed, bounded.bound, validity.lesson, checked.margin)
        )
    return found


def explain(result: RuleResult, evidence: Evidence) -> str:
    """One line: the rule, the observed value, the bound, and the names of what was counted, if there are any."""
    if result.result == "error":
        return f"{result.rule_id}: {result.reason}"
    line = f"{result.rule_id}: {result.fact} is {result.seen}, wanted {result.bound}"
    counted = [fact for fact in map(fact_of, result.fact.split(" and ")) if fact is not None]
    names = evidence.get(next((fact.named_by for fact in counted if fact.named_by), ""))
    if not isinstance(names, tuple) or not names:
        return line
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    return f"{line}: {', '.join(names[:MOST_SHOWN])}{more}"
