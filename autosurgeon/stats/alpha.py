"""The alpha budget: the chance of a false call that a whole campaign may spend, and the share that each look gets.

However the looks depend on each other, the chance that any of them is a false call is at most the sum of their alphas
(Bonferroni's inequality). A campaign whose alphas sum to 0.05 ends without a false call in 95 % of cases.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum, pi
from typing import Self

from pydantic import Field

from autosurgeon.core.value import Value


class AlphaBudget(Value):
    """The total of a campaign and the number of looks that it has paid for.

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


def spent_by(looks: Iterable[tuple[int, float]]) -> float:
    """Return the alpha that looks spent together, including the looks that their numbers skip.

    Args:
        looks: number and alpha of each look, in order of number. A look that chooses among several candidates uses one
            number for each; the skipped numbers count as spent.

    """
    total, last = 0.0, 0
    for number, alpha in looks:
        total += fsum(alpha * (number / used) ** 2 for used in range(last + 1, number + 1))
        last = number
    return total
