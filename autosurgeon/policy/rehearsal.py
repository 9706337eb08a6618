"""Evaluate every expression of a policy on known evidence, so that a broken installation shows before a run."""

from __future__ import annotations

from autosurgeon.core.decision import Scalar
from autosurgeon.policy.domains import typical
from autosurgeon.policy.expression import PARAMS, check_evaluator, clauses_of, evaluate
from autosurgeon.policy.schema import Policy


def rehearse(policy: Policy) -> int:
    """Evaluate known expressions, and each clause of the policy on typical values; the number of its clauses.

    A clause without an answer on typical values is no fault of the installation and is left to the judge.

    Raises:
        EvaluatorError: expressions cannot be evaluated here.

    """
    clauses = [clause for rule in policy.rules if rule.expr is not None for clause in clauses_of(rule.expr)]
    if not clauses:
        return 0
    params: dict[str, Scalar] = {f"{PARAMS}{name}": value for name, value in policy.param_values.items()}
    check_evaluator()
    for clause in clauses:
        known = {name: params[name] if name in params else typical(name) for name in clause.names}
        evaluate(clause.source, {name: value for name, value in known.items() if value is not None})
    return len(clauses)
