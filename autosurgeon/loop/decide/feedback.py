"""Feedback of a refusal for the proposer: each objection with its size, and the cost of the refusal."""

from __future__ import annotations

from typing import Any

from autosurgeon.core.decision import Cost, Judgement, RuleResult


def violations(judgement: Judgement, training: Judgement | None = None) -> dict[str, float]:
    """Each binding rule that objects, and by how much: in parts of its bound where that is above one.

    So a recipe with 8,000 parameters a row too many does not outweigh one that lost three anchors. What has no size is
    1: a truth, a missing fact, an expression.

    A hold is no violation: it is doubt, mostly about gains on the gate, whose size would show the sampler tasks that
    it must not know. Only a training that is held has its recipe to blame, as where the loss is no number. A `stop`
    lets a pass go on, so it counts only against one that is refused.

    Args:
        judgement: of the phase that refused the pass, or of one that accepted it, which has no objection.
        training: that of the same pass's training, where it was judged before.

    """
    refusing = {"reject", "revert"} | ({"hold"} if judgement.phase == "training" else set())
    found = [rule for rule in judgement.broken(mode="enforce") if rule.otherwise in refusing]
    if not found:
        return {}
    stops = [rule for known in (training, judgement) if known for rule in known.broken(mode="enforce")]
    found += [rule for rule in stops if rule.otherwise == "stop"]
    return {rule.rule_id: _size(rule) for rule in found}


def _size(rule: RuleResult) -> float:
    if rule.margin is None or rule.margin >= 0 or not isinstance(rule.observed, int | float):
        return 1.0
    bound = rule.observed - rule.margin if rule.bound.startswith("at_least") else rule.observed + rule.margin
    return -rule.margin / max(1.0, abs(bound))


def share_spent(cost: Cost | None, avoided: Cost | None, judgement: Judgement) -> float | None:
    """The tokens of a refused pass as a share of those of a whole one; None where no pass ever came that far.

    Tokens and not seconds, so that the same campaign on a busier machine proposes the same.
    """
    if judgement.phase in ("promotion", "watch"):
        return 1.0
    if cost is None or avoided is None:
        return None
    spent, rest = (one.trained_tokens + one.generated_tokens for one in (cost, avoided))
    return spent / (spent + rest) if spent else 0.0


def feedback_of(judgement: Judgement, training: Judgement | None, story: dict[str, Any] | None) -> dict[str, Any]:
    """The fields of a Feedback that speak of a refusal."""
    why = violations(judgement, training)
    context = story or {}
    share = share_spent(context.get("cost"), context.get("avoided"), judgement) if why else None
    return {"violations": why, "spent_share": share}
