"""Running means of the training loss, for stop rules and for the result."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

from autosurgeon.capsule.divergence import finite
from autosurgeon.core.stop_rule import StopRule

WINDOWS_PER_EPOCH = 4  # the reported loss is the mean over the last quarter of an epoch


class LossMeter:
    """The mean loss of the last window, and its fraction of the first epoch's mean loss."""

    def __init__(self, steps_per_epoch: int) -> None:
        self._steps_per_epoch = steps_per_epoch
        self._window: deque[float] = deque(maxlen=max(1, steps_per_epoch // WINDOWS_PER_EPOCH))
        self._first_epoch: list[float] = []
        self._epoch: list[float] = []
        self.epoch_losses: list[float] = []

    def add(self, loss: float) -> None:
        """Add one step."""
        self._window.append(loss)
        if len(self._first_epoch) < self._steps_per_epoch:
            self._first_epoch.append(loss)
        self._epoch.append(loss)
        if len(self._epoch) == self._steps_per_epoch:
            mean = sum(self._epoch) / self._steps_per_epoch
            self.epoch_losses += [mean] if math.isfinite(mean) else []  # a mean that is not finite ends training
            self._epoch.clear()

    @property
    def loss(self) -> float | None:
        """The mean over the window; None if it is not finite."""
        return finite(sum(self._window) / len(self._window)) if self._window else None

    @property
    def first_epoch_loss(self) -> float | None:
        """The mean over the steps of the first epoch so far."""
        return finite(sum(self._first_epoch) / len(self._first_epoch)) if self._first_epoch else None

    @property
    def loss_fraction(self) -> float | None:
        """`loss` over `first_epoch_loss`; 1 until the first epoch ends."""
        if len(self._first_epoch) < self._steps_per_epoch:
            return 1.0
        loss, first = self.loss, self.first_epoch_loss
        return None if loss is None or not first else loss / first

    def broken_rule(self, rules: tuple[StopRule, ...], measured: Mapping[str, float | None]) -> str | None:
        """Return the first rule whose bound is passed by the losses or by facts measured after this step."""
        facts = {"training.loss": self.loss, "training.loss_fraction": self.loss_fraction, **measured}
        for rule in rules:
            observed = facts.get(rule.fact)
            if observed is not None and rule.is_past(observed):
                return rule.rule_id
        return None
