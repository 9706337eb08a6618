from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from math import comb, isfinite, log
from sys import float_info

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.stats.eprocess import EProcess, e_value, log_e_value
from autosurgeon.stats.paired import p_regression

COUNTS = st.integers(0, 300)
MOST_PAIRS = 200


def exactly(lost: int, gained: int) -> Fraction:
    """The exact e-value in integers: the integral, term by term."""
    n = lost + gained
    return Fraction(sum(comb(n + 1, j) for j in range(lost + 1)), (n + 1) * comb(n, lost))


def chance_of_rejecting(alpha: float, loss_percent: int) -> Fraction:
    """The exact chance that a look after each of MOST_PAIRS flips finds e >= 1/alpha, summed over all paths."""
    alive, rejected = {0: 1}, 0
    for pairs in range(1, MOST_PAIRS + 1):
        reached: dict[int, int] = {}
        for lost, weight in alive.items():
            reached[lost + 1] = reached.get(lost + 1, 0) + weight * loss_percent
            reached[lost] = reached.get(lost, 0) + weight * (100 - loss_percent)
        stopped = [lost for lost in reached if log_e_value(lost, pairs - lost) >= -log(alpha)]
        rejected = 100 * rejected + sum(reached.pop(lost) for lost in stopped)
        alive = reached
    assert rejected + sum(alive.values()) == 100**MOST_PAIRS
    return Fraction(rejected, 100**MOST_PAIRS)


@pytest.mark.parametrize("alpha", [0.2, 0.05, 0.01])
def test_looks_after_every_fair_flip_reject_falsely_with_a_chance_of_at_most_alpha(alpha: float) -> None:
    false_rejections = chance_of_rejecting(alpha, 50)
    assert 0 < false_rejections <= Fraction(alpha)


def test_a_coin_that_favours_gains_is_called_a_regression_even_less_often() -> None:
    favourable, fair = (chance_of_rejecting(0.05, percent) for percent in (45, 50))
    assert favourable < fair <= Fraction(0.05)


def test_looks_at_the_p_value_after_every_flip_reject_falsely_far_more_often() -> None:
    # The reason for the e-value: the same walk with the exact McNemar test instead.
    alive, rejected = {0: 1.0}, 0.0
    for pairs in range(1, MOST_PAIRS + 1):
        reached: dict[int, float] = {}
        for lost, weight in alive.items():
            for at in (lost, lost + 1):
                reached[at] = reached.get(at, 0.0) + weight / 2
        rejected += sum(reached.pop(lost) for lost in list(reached) if p_regression(lost, pairs - lost) <= 0.05)
        alive = reached
    assert rejected > 0.15


def test_the_e_value_is_a_martingale_under_a_fair_coin() -> None:
    for lost in range(25):
        for gained in range(25):
            following = exactly(lost + 1, gained) + exactly(lost, gained + 1)
            assert following / 2 == exactly(lost, gained)


@given(COUNTS, COUNTS)
def test_the_e_value_agrees_with_exact_arithmetic(lost: int, gained: int) -> None:
    wanted = exactly(lost, gained)
    assert e_value(lost, gained) == pytest.approx(float(wanted), rel=1e-10)
    assert log_e_value(lost, gained) == pytest.approx(log(wanted.numerator) - log(wanted.denominator), abs=1e-10)


@given(COUNTS, COUNTS)
def test_a_loss_is_more_evidence_and_a_gain_less(lost: int, gained: int) -> None:
    now = EProcess(lost=lost, gained=gained)
    assert now.after(True).e_regression > now.e_regression > now.after(False).e_regression


@pytest.mark.parametrize(("alpha", "losses"), [(0.05, 7), (0.01, 9)])
def test_the_fewest_losses_in_a_row_that_reach_one_over_alpha(alpha: float, losses: int) -> None:
    assert EProcess(lost=losses).e_regression >= 1 / alpha > EProcess(lost=losses - 1).e_regression


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_large_counts_neither_overflow_nor_underflow(lost: int, gained: int) -> None:
    assert isfinite(log_e_value(lost, gained))
    assert 0 < e_value(lost, gained) <= float_info.max


def test_a_million_losses_give_the_largest_float() -> None:
    assert e_value(10**6, 0) == pytest.approx(float_info.max)
    assert e_value(0, 10**6) == pytest.approx(1e-6, rel=1e-5)


@pytest.mark.parametrize(("lost", "gained"), [(-1, 0), (0, -1)])
def test_negative_counts_are_refused(lost: int, gained: int) -> None:
    with pytest.raises(ValueError, match="counted from 0"):
        log_e_value(lost, gained)


def test_importing_statistics_does_not_load_scipy() -> None:
    probe = (
        "import pkgutil, sys, autosurgeon.stats as s\n"
        "for m in pkgutil.iter_modules(s.__path__): __import__(f'autosurgeon.stats.{m.name}')\n"
        "print('scipy' in sys.modules or 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
