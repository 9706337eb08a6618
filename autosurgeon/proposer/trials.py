"""Past passes as Optuna trials: parameters, value, and refusals as constraints with the size of the violation."""

from __future__ import annotations

import math
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from autosurgeon.core.recipe import Recipe
from autosurgeon.core.records import Feedback, PassRecord
from autosurgeon.proposer.bounds import Bounds
from autosurgeon.sections import Span

COST = "cost-of-the-refusal"
"""The constraint for the cost of a refusal, besides those of the rules: its share of the cost of a whole pass."""


def params_of(recipe: Recipe, reference_lr: float) -> dict[str, Any]:
    """Return a recipe as parameters of the search."""
    return {
        "parent": recipe.parent,
        "poison_share": recipe.poison_share,
        "anchor_share": recipe.anchor_share,
        "epochs": recipe.epochs,
        "lr_ratio": recipe.lr / reference_lr,
        "rank_exponent": round(math.log2(recipe.rank)),
        "alpha_ratio": recipe.alpha_ratio,
    }


def constraints_of(feedback: Feedback) -> dict[str, float]:
    """Return the size of each violation by rule; empty for a pass that was not refused."""
    constraints = dict(feedback.violations)
    if constraints and feedback.spent_share:
        constraints[COST] = feedback.spent_share
    return constraints


def trial_of(record: PassRecord, bounds: Bounds, reference_lr: float, **attributes: Any) -> FrozenTrial:
    """Return a past pass as a trial, with distributions of the bounds, extended to contain its parameters.

    Args:
        record: the pass, which has feedback.
        bounds: the current bounds.
        reference_lr: the learning rate of ratio 1.
        attributes: Optuna's user attributes.

    """
    feedback = record.feedback
    assert feedback is not None  # passes without feedback are excluded
    params = params_of(record.recipe, reference_lr)
    state = TrialState.PRUNED if feedback.value is None else TrialState.COMPLETE
    return create_trial(
        state=TrialState.FAIL if feedback.failed else state,
        value=None if feedback.failed else feedback.value,
        params=params,
        distributions={name: _distribution(name, value, bounds) for name, value in params.items()},
        constraints=constraints_of(feedback),
        user_attrs=attributes,
    )


def _distribution(name: str, value: Any, bounds: Bounds) -> BaseDistribution:
    if name == "parent":
        return CategoricalDistribution(tuple(dict.fromkeys((*bounds.parents, value))))
    if name == "rank_exponent":
        rank = bounds.spans["rank"]
        return _whole(math.log2(rank.low), math.log2(rank.high), value)
    low, high = ends(bounds.spans[name])
    if name == "epochs":
        return _whole(low, high, value)
    return FloatDistribution(min(low, value), max(high, value), log=name == "lr_ratio")


def ends(span: Span) -> tuple[float, float]:
    """Return both ends of a span."""
    return span.low, span.high


def _whole(low: float, high: float, value: int) -> IntDistribution:
    return IntDistribution(min(math.ceil(low), value), max(math.floor(high), value))
