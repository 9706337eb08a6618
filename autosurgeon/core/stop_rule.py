"""A bound of a policy that ends a training early."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from autosurgeon.core.value import Value


class StopRule(Value):
    """A bound that is checked during training: past it, training ends early and keeps its adapter."""

    rule_id: str
    fact: Literal[
        "training.loss", "training.loss_fraction", "training.kl", "training.kl_anchors", "training.anchor_loss_rise"
    ]
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> StopRule:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("a stop rule has exactly one bound: at_least or at_most")
        return self

    def is_past(self, observed: float) -> bool:
        """Whether the observed value is past the bound; a value on the bound is not."""
        below = self.at_least is not None and observed < self.at_least
        return below or (self.at_most is not None and observed > self.at_most)
