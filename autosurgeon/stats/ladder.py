"""The Ladder: what a proposer that sees every score of the same bench is told, so that it cannot learn the bench.

Blum and Hardt 2015, arXiv 1502.04585: a score is told only where it beats the best one so far by a step, and rounded to
the step; else the last one is told again. The told score then stays within about a step of the truth through very many
looks, as chance alone rarely climbs a step. Higher is better here; the paper speaks of losses.
"""

from __future__ import annotations

from math import floor, sqrt
from typing import Self

from pydantic import Field

from autosurgeon.core.value import Value


class Ladder(Value):
    """The ladder with a fixed step, in the unit of the score.

    It is held against the best score itself, where the paper holds it against the told one, which rounding may have
    moved by half a step: so less than a step is never told, and a whole step always is.
    """

    step: float = Field(gt=0, allow_inf_nan=False)
    best: float | None = Field(None, allow_inf_nan=False)

    @property
    def told(self) -> float | None:
        """The best score to the nearest step, a half upwards; None before the first."""
        return None if self.best is None else floor(self.best / self.step + 0.5) * self.step

    def tell(self, score: float) -> tuple[float, Self]:
        """What is told of one more score, and the ladder after it."""
        dev_climb = self.best is None or score >= self.best + self.step
        after = self.model_copy(update={"best": score}) if dev_climb else self
        told = after.told
        assert told is not None
        return told, after


class PairedLadder(Value):
    """The ladder without a parameter, on tasks passed.

    The step is the standard error of the difference to the best: of many flips more must be gained than of few. One
    gain alone, with nothing lost, is just above it and told; who wants more takes `Ladder` with a step.
    """

    tasks: int = Field(ge=1)
    best: int = Field(ge=0)
    """Tasks that the best passes, which is also what is told: the paper rounds to one task."""

    def tell(self, lost: int, gained: int) -> tuple[int, Self]:
        """What is told of results with so many flips against those of the best, and the ladder after them.

        Where the told score rises, the caller keeps those results: they are the best from now on. ValueError for flips
        that so many tasks, or so many passes, cannot have.
        """
        if not (0 <= lost <= self.best and 0 <= gained <= self.tasks - self.best):
            raise ValueError(f"{lost} lost and {gained} gained do not fit {self.best} of {self.tasks} passed")
        net = gained - lost
        # The standard deviation of single differences, times the root of their number; rounding may take it below 0.
        step = sqrt(max(0.0, lost + gained - net * net / self.tasks))
        best = self.best + net if net > step else self.best
        return best, self.model_copy(update={"best": best})
