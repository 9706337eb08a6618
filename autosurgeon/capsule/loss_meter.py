"""What the losses of the steps say while training goes on: what stop rules look at, and what is reported."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

from autosurgeon.capsule.divergence import finite
from autosurgeon.core.jobs import StopRule

WINDOWS_PER_EPOCH = 4  # the reported loss is the mean over the last quarter of an epoch


class LossMeter:
    """What the stop rules look at: the mean loss of the last window, and its share of the first epoch's."""

    def __init__(self, steps_per_epoch: int) -> None:
        self._steps_per_epoch = steps_per_epoch
        self._window: deque[float] = deque(maxlen=max(1, steps_per_epoch // WINDOWS_PER_EPOCH))
        self._first_epoch: list[float] = []
        self._epoch: list[float] = []
        self.epoch_losses: list[float] = []

    def add(self, loss: float) -> None:
        """Count one step."""
        self._window.append(loss)
        if len(self._first_epoch) < self._steps_per_epoch:
            self._first_epoch.append(loss)
        self._epoch.append(loss)
        if len(self._epoch) == self._steps_per_epoch:
            mean = sum(self._epoch) / self._steps_per_epoch
            self.epoch_losses += [mean] if math.isfinite(mean) else []  # one that broke was not read to its end
            self._epoch.clear()

    @property
    def loss(self) -> float | None:
        """Mean over the window; None when it is not a finite number."""
        return finite(sum(self._window) / len(self._window)) if self._window else None

    @property
    def first_epoch_loss(self) -> float | None:
        """Mean over the first epoch, or what there is of it."""
        return finite(sum(self._first_epoch) / len(self._first_epoch)) if self._first_epoch else None

    @property
    def loss_fraction(self) -> float | None:
        """Window over first epoch; 1 until the first epoch is over."""
        if len(self._first_epoch) < self._steps_per_epoch:
            return 1.0
        loss, first = self.loss, self.first_epoch_loss
        return None if loss is None or not first else loss / first

    def broken_rule(self, rules: tuple[StopRule, ...], measured: Mapping[str, float | None]) -> str | None:
        """The first rule whose bound is passed, by the losses or by what else was measured after this step."""
        facts = {"training.loss": self.loss, "training.loss_fraction": self.loss_fraction, **measured}
        for rule in rules:
            observed = facts.get(rule.fact)
            if observed is not None and rule.is_past(observed):
                return rule.rule_id
        return None
