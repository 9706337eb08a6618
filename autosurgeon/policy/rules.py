"""One rule against the evidence."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

from autosurgeon.core.decision import Evidence, FactValue, RuleResult, Scalar
from autosurgeon.errors import EvaluatorError
from autosurgeon.policy.domains import is_of_type
from autosurgeon.policy.expression import MOST_REMEMBERED, PARAMS, Clause, Outcome, clauses_of, evaluate
from autosurgeon.policy.facts import fact_of
from autosurgeon.policy.schema import Bounded, Rule

NO_PARAMS: Mapping[str, Scalar] = {}
LARGEST = sys.float_info.max
Result = Literal["passed", "failed", "missing", "skipped", "error"]


class Check(NamedTuple):
    """Whether a bound holds (None: the fact is missing, or `error` is the reason for no answer), and its margin."""

    holds: bool | None
    observed: FactValue
    margin: float | None
    error: str | None = None


UNCONDITIONAL = Check(True, None, None)


@lru_cache(maxsize=MOST_REMEMBERED)
def facts_of(clause: Clause) -> tuple[str, ...]:
    """The facts that a clause names; its other names are parameters."""
    return tuple(name for name in clause.names if not name.startswith(PARAMS))


@lru_cache(maxsize=MOST_REMEMBERED)
def _params_of(clause: Clause) -> tuple[str, ...]:
    return tuple(name for name in clause.names if name.startswith(PARAMS))


def is_no_number(value: FactValue) -> bool:
    """Whether a value is NaN, infinite or too large for a double; JSON cannot hold it, so it counts as missing."""
    return isinstance(value, (int, float)) and not -LARGEST <= value <= LARGEST


def check(bounded: Bounded, evidence: Evidence) -> Check:
    """Compare a fact with its bound. Missing, NaN, infinite or of another type counts as missing, never as passed."""
    observed = evidence.get(bounded.fact)
    if observed is None or is_no_number(observed):
        return Check(None, None, None)
    least, most = bounded.at_least, bounded.at_most
    if most is not None or least is not None:
        if isinstance(observed, (bool, str, tuple)):
            return Check(None, observed, None)
        margin = observed - least if least is not None else (most or 0) - observed
        return Check(margin >= 0, observed, None if is_no_number(margin) else margin)
    if bounded.equals is not None:
        return Check(_equal(observed, bounded.equals), observed, None)
    if bounded.one_of is not None:
        return Check(any(_equal(observed, wanted) for wanted in bounded.one_of), observed, None)
    if not isinstance(observed, tuple):
        return Check(None, observed, None)
    return Check(set(observed) <= set(bounded.subset_of or ()), observed, None)


def _equal(observed: FactValue, wanted: FactValue) -> bool:
    """Equal in value: a truth equals no number, and 1 equals 1.0."""
    return isinstance(observed, bool) == isinstance(wanted, bool) and observed == wanted


def apply_rule(rule: Rule, evidence: Evidence, params: Mapping[str, Scalar] = NO_PARAMS) -> tuple[RuleResult, ...]:
    """The result of the rule: the observed value, the bound and the margin; for an expression one result per clause."""
    condition = check(rule.when, evidence) if rule.when else UNCONDITIONAL
    if rule.expr is None:
        return (_rule_result(rule, condition, check(rule, evidence), rule.id, rule.fact, rule.bound),)
    results = []
    for number, clause in enumerate(clauses_of(rule.expr), start=1):
        found, facts = check_clause(clause, evidence, params), " and ".join(facts_of(clause)) or "nothing"
        results.append(_rule_result(rule, condition, found, f"{rule.id}#{number}", facts, _with_params(clause, params)))
    return tuple(results)


def _rule_result(rule: Rule, condition: Check, found: Check, rule_id: str, fact: str, bound: str) -> RuleResult:
    result: Result
    if condition.holds is False:
        result = "skipped"
    elif condition.holds is not None and found.error is not None:
        result = "error"
    elif condition.holds is None or found.holds is None:
        result = "missing"
    else:
        result = "passed" if found.holds else "failed"
    return RuleResult(
        rule_id=rule_id,
        result=result,
        fact=fact,
        observed=found.observed,
        bound=bound,
        margin=found.margin,
        otherwise=rule.otherwise,
        mode=rule.mode,
        lesson=rule.lesson,
        severity=rule.severity,
        reason=found.error or "" if result == "error" else reason_of(result, found.observed, bound),
    )


def reason_of(result: Result, observed: FactValue, bound: str) -> str:
    """The reason for a rule's result, in words."""
    if result == "skipped":
        return "its `when` does not hold"
    if result == "missing":
        return "a fact that it needs is missing"
    seen = f"{observed:.6g}" if isinstance(observed, float) else f"{observed}"
    return f"{seen} is within {bound}" if result == "passed" else f"{seen} is not within {bound}"


def check_clause(clause: Clause, evidence: Evidence, params: Mapping[str, Scalar] = NO_PARAMS) -> Check:
    """Evaluate a clause on the evidence.

    A named fact that is missing or of another type leaves the clause unanswered, even where CEL would not need it.
    Where all facts are known and CEL has no answer, or fails, the check has an error.
    """
    given = {name: params[name.removeprefix(PARAMS)] for name in _params_of(clause)}
    values: dict[str, Scalar | tuple[str, ...]] = {}
    for name in facts_of(clause):
        value = evidence.get(name)
        fact = fact_of(name)
        if value is None or is_no_number(value) or fact is None or not is_of_type(value, fact.type):
            return Check(None, None, None)
        values[name] = value
    try:
        outcome = evaluate(clause.source, values | given)
    except EvaluatorError as error:
        outcome = Outcome(None, error.reason)
    if outcome.holds is None:
        return Check(None, None, None, f"could not be evaluated: {outcome.error}")
    return Check(outcome.holds, " and ".join(_shown(value) for value in values.values()), None)


def _with_params(clause: Clause, params: Mapping[str, Scalar]) -> str:
    values = [f"{name} = {params[name.removeprefix(PARAMS)]}" for name in _params_of(clause)]
    return f"{clause.source} with {', '.join(values)}" if values else clause.source


def _shown(value: Scalar | tuple[str, ...]) -> str:
    if isinstance(value, tuple):
        return f"{len(value)} of them"
    return f"{value:.3g}" if isinstance(value, float) else f"{value}"
