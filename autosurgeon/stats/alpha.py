"""An alpha budget: how much chance of a false call a whole campaign may spend, and how much of it each look gets.

Whatever the looks have to do with each other, the chance that any of them calls falsely is the sum of their alphas at
most (Bonferroni's inequality): a campaign whose alphas sum to 0.05 ends without a false call in 95 % of all cases.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum, pi
from typing import Annotated, Self

from pydantic import Field, model_validator

from autosurgeon.core.value import Value

Alpha = Annotated[float, Field(ge=0, le=1)]


class AlphaBudget(Value):
    """What a campaign may spend in all, by which plan, and how many looks it has paid for: numbers only.

    Without a plan look k costs total * 6 / (pi k)^2, which never runs out: the squares' inverses sum to pi^2 / 6 (Euler
    1735), the spending sequence of Javanmard and Montanari 2018, arXiv 1603.09000. A plan is a list of alphas, one a
    look; after its end a look gets 0, with which nothing can be called.
    """

    total: float = Field(gt=0, lt=1)
    plan: tuple[Alpha, ...] | None = None
    looks: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _plan_within_total(self) -> Self:
        if self.plan is not None and fsum(self.plan) > self.total:
            raise ValueError(f"a plan spends its total at most; got {fsum(self.plan)} of {self.total}")
        return self

    def spend(self) -> tuple[float, Self]:
        """The alpha of the next look, and the budget after it; a look is paid for whatever it finds."""
        return self._price(self.looks + 1), self.model_copy(update={"looks": self.looks + 1})

    @property
    def left(self) -> float:
        """What the looks so far have not spent; never negative."""
        return max(0.0, self.total - fsum(self._price(look) for look in range(1, self.looks + 1)))

    def _price(self, look: int) -> float:
        if self.plan is None:
            return self.total * 6 / (pi * look) ** 2
        return self.plan[look - 1] if look <= len(self.plan) else 0.0


def spent_by(looks: Iterable[tuple[int, float]]) -> float:
    """What looks of a budget without a plan spent together, with those that lie between them.

    Args:
        looks: number and alpha of each, by number. Numbers that are left out were used up by the look after them:
            whoever chooses among several candidates has looked once for each.

    """
    total, last = 0.0, 0
    for number, alpha in looks:
        total += fsum(alpha * (number / used) ** 2 for used in range(last + 1, number + 1))
        last = number
    return total
