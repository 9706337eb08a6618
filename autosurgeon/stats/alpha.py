"""The alpha budget: the chance of a false call that a live version may spend, and the share that each look gets.

However the looks depend on each other, the chance that any of them is a false call is at most the sum of their alphas
(Bonferroni's inequality): where these sum to 0.05, there is no false call in 95 % of cases.
"""

from __future__ import annotations

from math import fsum, pi
from typing import Self

from pydantic import Field

from autosurgeon.core.value import Value


class AlphaBudget(Value):
    """The total of a live version and the number of looks that it has paid for.

    Look k costs total * 6 / (pi k)^2. The budget never runs out, because the squares' inverses sum to pi^2 / 6 (Euler
    1735); it is the spending sequence of Javanmard and Montanari 2018, arXiv 1603.09000.
    """

    total: float = Field(gt=0, lt=1)
    looks: int = Field(0, ge=0)

    def spend(self) -> tuple[float, Self]:
        """Return the alpha of the next look and the budget after it; every look is paid for, whatever it finds."""
        return self._price(self.looks + 1), self.model_copy(update={"looks": self.looks + 1})

    @property
    def left(self) -> float:
        """The part of the total that the looks have not spent; never negative."""
        return max(0.0, self.total - fsum(self._price(look) for look in range(1, self.looks + 1)))

    def _price(self, look: int) -> float:
        return self.total * 6 / (pi * look) ** 2
