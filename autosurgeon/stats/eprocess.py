"""Evidence that stays valid after every pair: an e-value computed from the flips of a paired comparison.

The p-value of `paired` is valid for one look. The e-value is valid for a look after each flip: under the null it
reaches 1/alpha with a chance of at most alpha, whatever the reason to stop (Ville 1939; Ramdas, Grünwald, Vovk and
Shafer 2023, arXiv 2210.01948). Two conditions make it valid: the order of the tasks is fixed before any result is
seen, and under the null each flip, given the earlier ones, is a loss with a chance of at most 1/2.
"""

from __future__ import annotations

from math import exp, log
from sys import float_info
from typing import Self

from pydantic import Field

from autosurgeon.core.value import Value

_NEGLIGIBLE = 1e-17
_LARGEST_LOG = log(float_info.max)


def log_e_value(lost: int, gained: int) -> float:
    """Return the natural logarithm of the e-value against "a flip is a loss with a chance of at most 1/2".

    It is 0.0 without flips and finite for all counts; ValueError for counts below 0. It is the likelihood ratio against
    a fair coin, averaged over loss chances t spread evenly over [1/2, 1], with n = lost + gained:
    E = 2 * integral of (2t)^lost (2(1-t))^gained dt = 2^(n+1) B(lost+1, gained+1) P(Bin(n+1, 1/2) <= lost),
    the method of mixtures (Robbins 1970) for one side of a coin.
    """
    if lost < 0 or gained < 0:
        raise ValueError(f"flips are counted from 0; got {lost} lost and {gained} gained")
    if lost <= gained:
        return log(_falling_sum(lost, gained))
    from scipy.special import bdtr, betaln

    # More losses than gains: the probability is above 1/2, so the logarithm cannot underflow.
    n = lost + gained
    return float((n + 1) * log(2) + betaln(lost + 1, gained + 1) + log(bdtr(lost, n + 1, 0.5)))


def e_value(lost: int, gained: int) -> float:
    """Return the e-value: 1.0 without flips, and the largest float if it exceeds that."""
    return exp(min(log_e_value(lost, gained), _LARGEST_LOG))


class EProcess(Value):
    """The flips so far, in the order of the tasks, with their evidence."""

    lost: int = Field(0, ge=0)
    gained: int = Field(0, ge=0)

    def after(self, lost: bool) -> Self:
        """Return the process after one more flip, a loss or a gain."""
        return type(self)(lost=self.lost + lost, gained=self.gained + (not lost))

    @property
    def e_regression(self) -> float:
        """The evidence that losses are the more likely flips."""
        return e_value(self.lost, self.gained)


def _falling_sum(lost: int, gained: int) -> float:
    """Return the e-value for no more losses than gains, as a sum of falling terms that neither cancel nor underflow.

    It is the binomial form of the integral, C(n+1, j) / ((n+1) C(n, lost)) summed over j = lost, lost-1, ..., 0.
    """
    term = total = 1 / (gained + 1)
    for j in range(lost, 0, -1):
        term *= j / (lost + gained + 2 - j)
        total += term
        if term < _NEGLIGIBLE * total:
            break
    return total
