"""One rule against the evidence."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from autosurgeon.core.decision import Evidence, FactValue, RuleResult
from autosurgeon.policy.schema import Bounded, Rule


class Check(NamedTuple):
    """Whether a bound holds (None: the fact is missing), and by how much."""

    holds: bool | None
    observed: FactValue
    margin: float | None


def is_no_number(value: FactValue) -> bool:
    """NaN or infinite: taken for missing, and written down so, since JSON has no word for either."""
    return isinstance(value, float) and not math.isfinite(value)


def check(bounded: Bounded, evidence: Evidence) -> Check:
    """Hold a fact against its bound. Missing, NaN, infinite or of another type is missing, never a pass."""
    observed = evidence.get(bounded.fact)
    if observed is None or is_no_number(observed):
        return Check(None, None, None)
    if bounded.at_most is not None or bounded.at_least is not None:
        if isinstance(observed, bool | str | tuple):
            return Check(None, observed, None)
        margin = observed - bounded.at_least if bounded.at_least is not None else (bounded.at_most or 0) - observed
        return Check(margin >= 0, observed, margin if math.isfinite(margin) else None)
    if bounded.equals is not None:
        return Check(_equal(observed, bounded.equals), observed, None)
    if bounded.one_of is not None:
        return Check(any(_equal(observed, wanted) for wanted in bounded.one_of), observed, None)
    if not isinstance(observed, tuple):
        return Check(None, observed, None)
    return Check(set(observed) <= set(bounded.subset_of or ()), observed, None)


def _equal(observed: FactValue, wanted: FactValue) -> bool:
    """Equal in value; a truth is no number, while 1 and 1.0 are the same one."""
    return isinstance(observed, bool) == isinstance(wanted, bool) and observed == wanted


def apply_rule(rule: Rule, evidence: Evidence) -> RuleResult:
    """The rule's result, with what was seen, the bound and the margin."""
    condition = check(rule.when, evidence) if rule.when else Check(True, None, None)
    found = check(rule, evidence)
    result: Literal["passed", "failed", "missing", "skipped"]
    if condition.holds is False:
        result = "skipped"
    elif condition.holds is None or found.holds is None:
        result = "missing"
    else:
        result = "passed" if found.holds else "failed"
    return RuleResult(
        rule_id=rule.id,
        result=result,
        fact=rule.fact,
        observed=found.observed,
        bound=rule.bound,
        margin=found.margin,
        otherwise=rule.otherwise,
        mode=rule.mode,
        lesson=rule.lesson,
    )
