"""The search space: the spans of the settings, clipped to what the policy's proposal rules accept."""

from __future__ import annotations

import math
from typing import NamedTuple

from autosurgeon.errors import UserError
from autosurgeon.policy.schema import Policy, Rule
from autosurgeon.sections import SearchSettings, Span

AS_SHIPPED = SearchSettings()
SPANS = ("poison_share", "anchor_share", "epochs", "lr_ratio", "rank", "alpha_ratio")


class Bounds(NamedTuple):
    """The recipes that may be proposed."""

    parents: tuple[str, ...]
    spans: dict[str, Span]


def widen(search: SearchSettings, times: int, reference_lr: float) -> SearchSettings:
    """Return the search with each span extended by `times` doublings at both ends, within the limits of a recipe.

    Epochs are extended by one each time. `clip` removes what the policy forbids.
    """
    factor = 2.0**times
    most = {"poison_share": 1, "anchor_share": 4, "epochs": 100, "lr_ratio": 0.5 / reference_lr}
    most |= {"rank": 1024, "alpha_ratio": 64}
    least = {"epochs": 1.0, "rank": 1.0}
    wider = {}
    for name in SPANS:
        span: Span = getattr(search, name)
        low, high = span.low / factor, span.high * factor
        if name == "epochs":
            low, high = span.low - times, span.high + times
        low, high = max(low, least.get(name, 0)), min(high, most[name])
        # The span of the settings remains included, even beyond those limits.
        wider[name] = Span(low=min(low, span.low), high=max(high, span.high))
    return search.model_copy(update=wider)


def clip(search: SearchSettings, policy: Policy) -> Bounds:
    """Return the space in which no binding proposal rule can refuse a recipe's own facts.

    A rule with a `when` counts as applying, so that nothing past its bound is proposed. If a shipped span and the
    policy are disjoint, the policy decides; a span that the user set does not move.

    Raises:
        UserError: the policy leaves nothing of a span.

    """
    rules, spans = binding(policy), {}
    for name in SPANS:
        span: Span = getattr(search, name)
        least, most = 0.0, math.inf
        for rule in rules:
            if rule.fact == f"recipe.{name}":
                least, most = _narrow(least, most, rule)
        low, high = max(span.low, least), min(span.high, most)
        if low > high and span == getattr(AS_SHIPPED, name):
            low, high = _follow(span, least, most)
        if low <= high:
            low, high = _to_steps(name, low, high)
        if low > high:
            raise UserError(
                f"the policy leaves nothing of search.{name}",
                got=f"{span.low:g} to {span.high:g}",
                wanted=f"what {policy.name} allows",
            )
        spans[name] = Span(low=low, high=high)
    parents = tuple(parent for parent in search.parents if all(_admits(rule, parent) for rule in rules))
    if not parents:
        raise UserError("the policy leaves no parent to train on", got=list(search.parents))
    return Bounds(parents, spans)


def binding(policy: Policy) -> list[Rule]:
    """Return the rules that can refuse a proposal."""
    return [r for r in policy.rules if r.phase == "proposal" and r.mode == "enforce" and r.otherwise != "warn"]


def _follow(span: Span, least: float, most: float) -> tuple[float, float]:
    """Return the policy's range in place of a shipped span: at most two doublings below its bound, or the bound."""
    return (max(least, most / 4), most) if most < span.low else (least, min(least, most))


def _narrow(low: float, high: float, rule: Rule) -> tuple[float, float]:
    if rule.at_most is not None:
        return low, min(high, float(rule.at_most))
    if rule.at_least is not None:
        return max(low, float(rule.at_least)), high
    if isinstance(rule.equals, int | float):
        return max(low, float(rule.equals)), min(high, float(rule.equals))
    return low, high


def _to_steps(name: str, low: float, high: float) -> tuple[float, float]:
    """Return the ends moved inwards to possible values: whole epochs, and ranks that are powers of two."""
    if name == "epochs":
        return float(math.ceil(low)), float(math.floor(high))
    if name == "rank":
        return 2.0 ** max(0, math.ceil(math.log2(low))), 2.0 ** math.floor(math.log2(high))
    return low, high


def _admits(rule: Rule, parent: str) -> bool:
    if rule.fact != "recipe.parent":
        return True
    return parent == rule.equals if rule.equals is not None else parent in (rule.one_of or (parent,))
