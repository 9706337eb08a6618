"""Evidence that a pack truly gains tasks: an e-process over pairs of samples, valid whenever sampling ends.

Both packs are sampled on tasks that the candidate won and live failed. A pair in which only one of them passes is won
or lost. Where no task truly improved, a pair that differs is won with a chance of at most 1/2, so a task's e-value
reaches x with a chance of at most 1/x, however long it is sampled (Ville 1939); so does any mixture of products over
tasks, which are sampled independently. 1/E is therefore a p-value that stays valid at every moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, fsum, log
from typing import NamedTuple

from autosurgeon.stats.eprocess import log_e_value

SHARES = (0.02, 0.1, 0.3)
"""Assumed shares of truly gained tasks among the sampled ones; the evidence is the mean over them."""
CONFIRMED = log(20)
"""The evidence at which a task is confirmed by itself: a chance of 0.05 where it did not improve."""


class Pairs(NamedTuple):
    """Pairs of samples of one task: won only by the candidate, and won only by live."""

    won: int = 0
    lost: int = 0

    @property
    def log_e(self) -> float:
        """The natural logarithm of the task's e-value for a gain."""
        return log_e_value(self.won, self.lost)


def log_e_gain(tasks: Iterable[Pairs]) -> float:
    """Return the natural logarithm of the joint e-value against "no task improved"; 0.0 without tasks.

    It is the mean over q of the product over tasks of 1 - q + q E: a task is assumed to be truly gained with a chance
    of q, so that tasks which are coins cost a factor of 1 - q at most.
    """
    values = [pairs.log_e for pairs in tasks]
    products = [fsum(_log_sum(log(1 - q), log(q) + value) for value in values) for q in SHARES]
    most = max(products)
    return most + log(fsum(exp(product - most) for product in products) / len(SHARES))


def p_luck(log_e: float) -> float:
    """Return the chance of such evidence where nothing improved, given the largest logarithm seen: min(1, 1/E)."""
    return exp(-max(0.0, log_e))


def _log_sum(a: float, b: float) -> float:
    """Return log(e^a + e^b) without overflow."""
    most = max(a, b)
    return most + log(exp(a - most) + exp(b - most))
