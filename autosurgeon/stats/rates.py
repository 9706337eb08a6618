"""Success rates: the confidence interval of a share, and pass@k."""

from __future__ import annotations

from math import comb, sqrt
from statistics import NormalDist
from typing import NamedTuple


class Interval(NamedTuple):
    """A range of probabilities."""

    low: float
    high: float


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Return the Wilson score interval of a share, without continuity correction; [0, 1] if n is 0.

    ValueError unless 0 <= successes <= n and 0 < confidence < 1. Wilson 1927; Brown, Cai and DasGupta 2001 on why.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes lie between 0 and n; got {successes} of {n}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence lies between 0 and 1; got {confidence}")
    if n == 0:
        return Interval(0.0, 1.0)
    z = -NormalDist().inv_cdf((1 - confidence) / 2)
    middle = successes + z * z / 2
    spread = z * sqrt(successes * (n - successes) / n + z * z / 4)
    # At the ends the two terms cancel in theory, but not always in floating point.
    low = 0.0 if successes == 0 else (middle - spread) / (n + z * z)
    high = 1.0 if successes == n else (middle + spread) / (n + z * z)
    return Interval(max(low, 0.0), min(high, 1.0))


def pass_at_k(n: int, c: int, k: int) -> float:
    """Return the unbiased estimate that one of k samples passes, given c passes of n: 1 - C(n-c, k) / C(n, k).

    ValueError unless 0 <= c <= n and 1 <= k <= n. Chen et al. 2021 multiply k floats; integers give the nearest float,
    also near 0, where a difference from 1 would lose digits.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@k wants 0 <= c <= n and 1 <= k <= n; got n={n}, c={c}, k={k}")
    ways = comb(n, k)
    return (ways - comb(n - c, k)) / ways
