"""The Ladder: coarse scores for a proposer that sees every score of one bench, so that it cannot overfit the bench.

Blum and Hardt 2015, arXiv 1502.04585: a score is reported only if it beats the best one so far by a step, rounded to
the step; otherwise the previous report is repeated. The report stays within about a step of the true score over very
many looks, because chance alone rarely gains a step. Here higher is better; the paper uses losses.
"""

from __future__ import annotations

from math import floor
from typing import Self

from pydantic import Field

from autosurgeon.core.value import Value


class Ladder(Value):
    """The Ladder with a fixed step, in the unit of the score.

    A new score is compared with the best score itself. The paper compares it with the report, which rounding may have
    moved by half a step; here less than a step is never reported, and a whole step always is.
    """

    step: float = Field(gt=0, allow_inf_nan=False)
    best: float | None = Field(None, allow_inf_nan=False)

    @property
    def reported(self) -> float | None:
        """The best score rounded to the nearest step, halves upwards; None before the first score."""
        return None if self.best is None else floor(self.best / self.step + 0.5) * self.step

    def report(self, score: float) -> tuple[float, Self]:
        """Return the report after one more score, and the ladder after it."""
        improves = self.best is None or score >= self.best + self.step
        after = self.model_copy(update={"best": score}) if improves else self
        reported = after.reported
        assert reported is not None
        return reported, after
