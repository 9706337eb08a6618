"""Evidence that may be looked at after every pair: a betting score on the flips of a paired comparison.

The p-value of `paired` may be looked at once. The e-value here may be looked at after each flip, and the look that
first finds 1/alpha decides: under the null that happens with a chance of alpha at most, whatever made one stop (Ville
1939; Ramdas, Grünwald, Vovk and Shafer 2023, arXiv 2210.01948). Two things make it valid: the order of the tasks
is fixed before any result is seen, and the null is that a flip, given those before, is a loss with a chance of 1/2 at
most.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, log
from sys import float_info
from typing import Literal, Self

from pydantic import Field

from autosurgeon.core.value import Value

Side = Literal["regression", "gain"]
_ENOUGH = 1e-17
_LARGEST_LOG = log(float_info.max)


def log_e_value(lost: int, gained: int) -> float:
    """The natural logarithm of the e-value against "a flip is a loss with a chance of 1/2 at most"; 0.0 without flips.

    The likelihood ratio against a fair coin, averaged over loss chances t spread evenly over [1/2, 1], n = lost+gained:
    E = 2 * integral of (2t)^lost (2(1-t))^gained dt = 2^(n+1) B(lost+1, gained+1) P(Bin(n+1, 1/2) <= lost),
    the method of mixtures (Robbins 1970) for one side of a coin. Finite for every count; ValueError below 0.
    """
    if lost < 0 or gained < 0:
        raise ValueError(f"flips are counted from 0; got {lost} lost and {gained} gained")
    if lost <= gained:
        return log(_falling_sum(lost, gained))
    from scipy.special import bdtr, betaln

    # More losses than gains: the probability is above 1/2, and nothing in the logarithm can underflow.
    n = lost + gained
    return float((n + 1) * log(2) + betaln(lost + 1, gained + 1) + log(bdtr(lost, n + 1, 0.5)))


def e_value(lost: int, gained: int) -> float:
    """The e-value of `log_e_value` itself: 1.0 without flips, and the largest float where it would be larger."""
    return exp(min(log_e_value(lost, gained), _LARGEST_LOG))


class EProcess(Value):
    """Flips so far, in the order of the tasks, and what they prove; stop at the first `rejects`, for it may pass."""

    lost: int = Field(0, ge=0)
    gained: int = Field(0, ge=0)

    def after(self, lost: bool) -> Self:
        """With one more flip: a loss, or else a gain."""
        return type(self)(lost=self.lost + lost, gained=self.gained + (not lost))

    @property
    def e_regression(self) -> float:
        """Evidence that losses are the likelier flips."""
        return e_value(self.lost, self.gained)

    @property
    def e_gain(self) -> float:
        """Evidence that gains are the likelier flips: the mirror."""
        return e_value(self.gained, self.lost)

    def rejects(self, alpha: float, side: Side = "regression") -> bool:
        """Whether the evidence reaches 1/alpha; never at an alpha of 0. ValueError unless 0 <= alpha <= 1.

        Each side has its own alpha: who asks both at alpha errs with a chance of 2 alpha at most.
        """
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha lies between 0 and 1; got {alpha}")
        counts = (self.lost, self.gained) if side == "regression" else (self.gained, self.lost)
        return alpha > 0 and log_e_value(*counts) >= -log(alpha)


def first_rejection(losses: Iterable[bool], alpha: float, side: Side = "regression") -> EProcess | None:
    """The flips up to the first that rejects, and None when none does; losses in the order that was fixed before."""
    seen = EProcess()
    for lost in losses:
        seen = seen.after(lost)
        if seen.rejects(alpha, side):
            return seen
    return None


def _falling_sum(lost: int, gained: int) -> float:
    """The e-value for no more losses than gains, as a sum of falling terms that neither cancel nor underflow.

    The binomial form of the integral, C(n+1, j) / ((n+1) C(n, lost)) added over j = lost, lost-1, ..., 0.
    """
    term = total = 1 / (gained + 1)
    for j in range(lost, 0, -1):
        term *= j / (lost + gained + 2 - j)
        total += term
        if term < _ENOUGH * total:
            break
    return total
