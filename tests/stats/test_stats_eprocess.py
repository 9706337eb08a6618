from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from math import comb, isfinite, log
from sys import float_info

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.stats.eprocess import EProcess, Side, e_value, first_rejection, log_e_value
from autosurgeon.stats.paired import p_regression

COUNTS = st.integers(0, 300)
MOST_PAIRS = 200


def exactly(lost: int, gained: int) -> Fraction:
    """The e-value in whole numbers: the integral, term by term."""
    n = lost + gained
    return Fraction(sum(comb(n + 1, j) for j in range(lost + 1)), (n + 1) * comb(n, lost))


def chance_of_rejecting(alpha: float, side: Side, loss_percent: int) -> Fraction:
    """How likely a look after every one of MOST_PAIRS flips finds a rejection: every path, weighed in whole numbers."""
    alive, rejected = {0: 1}, 0
    for pairs in range(1, MOST_PAIRS + 1):
        reached: dict[int, int] = {}
        for lost, weight in alive.items():
            reached[lost + 1] = reached.get(lost + 1, 0) + weight * loss_percent
            reached[lost] = reached.get(lost, 0) + weight * (100 - loss_percent)
        stopped = [lost for lost in reached if EProcess(lost=lost, gained=pairs - lost).rejects(alpha, side)]
        rejected = 100 * rejected + sum(reached.pop(lost) for lost in stopped)
        alive = reached
    assert rejected + sum(alive.values()) == 100**MOST_PAIRS
    return Fraction(rejected, 100**MOST_PAIRS)


@pytest.mark.parametrize("side", ["regression", "gain"])
@pytest.mark.parametrize("alpha", [0.2, 0.05, 0.01])
def test_who_looks_after_every_fair_flip_is_fooled_no_more_often_than_alpha(alpha: float, side: Side) -> None:
    fooled = chance_of_rejecting(alpha, side, 50)
    assert 0 < fooled <= Fraction(alpha)


def test_an_unfairly_lucky_coin_is_called_a_regression_even_less_often() -> None:
    lucky, fair = (chance_of_rejecting(0.05, "regression", percent) for percent in (45, 50))
    assert lucky < fair <= Fraction(0.05)


def test_who_looks_at_the_p_value_after_every_flip_is_fooled_far_more_often() -> None:
    # What the e-value is for: the same walk, with the exact McNemar test in its place.
    alive, rejected = {0: 1.0}, 0.0
    for pairs in range(1, MOST_PAIRS + 1):
        reached: dict[int, float] = {}
        for lost, weight in alive.items():
            for at in (lost, lost + 1):
                reached[at] = reached.get(at, 0.0) + weight / 2
        rejected += sum(reached.pop(lost) for lost in list(reached) if p_regression(lost, pairs - lost) <= 0.05)
        alive = reached
    assert rejected > 0.15


def test_evidence_is_a_fair_bet_at_every_point() -> None:
    # A martingale of a fair coin: the mean over what comes next is what is held now, exactly.
    for lost in range(25):
        for gained in range(25):
            following = exactly(lost + 1, gained) + exactly(lost, gained + 1)
            assert following / 2 == exactly(lost, gained)


@given(COUNTS, COUNTS)
def test_the_value_agrees_with_whole_numbers(lost: int, gained: int) -> None:
    wanted = exactly(lost, gained)
    assert e_value(lost, gained) == pytest.approx(float(wanted), rel=1e-10)
    assert log_e_value(lost, gained) == pytest.approx(log(wanted.numerator) - log(wanted.denominator), abs=1e-10)


@given(COUNTS, COUNTS)
def test_a_loss_is_more_evidence_and_a_gain_less(lost: int, gained: int) -> None:
    now = EProcess(lost=lost, gained=gained)
    assert now.after(True).e_regression > now.e_regression > now.after(False).e_regression
    assert now.after(True).e_gain < now.e_gain < now.after(False).e_gain


@given(COUNTS, COUNTS, st.floats(0, 1))
def test_gains_are_losses_in_the_mirror(lost: int, gained: int, alpha: float) -> None:
    here, mirror = EProcess(lost=lost, gained=gained), EProcess(lost=gained, gained=lost)
    assert here.e_gain == mirror.e_regression
    assert here.rejects(alpha, "gain") == mirror.rejects(alpha)


@given(COUNTS, COUNTS, st.floats(1e-9, 1), st.floats(1e-9, 1))
def test_what_rejects_at_an_alpha_rejects_at_a_larger_one(lost: int, gained: int, one: float, other: float) -> None:
    seen = EProcess(lost=lost, gained=gained)
    assert seen.rejects(max(one, other)) or not seen.rejects(min(one, other))
    assert not seen.rejects(0.0)


@pytest.mark.parametrize(("alpha", "losses"), [(0.05, 7), (0.01, 9)])
def test_so_many_losses_in_a_row_are_needed(alpha: float, losses: int) -> None:
    assert first_rejection([True] * 20, alpha) == EProcess(lost=losses)
    assert first_rejection([False] * 20, alpha, "gain") == EProcess(gained=losses)
    assert first_rejection([True] * (losses - 1), alpha) is None


def test_the_first_rejection_stands_though_later_flips_would_take_it_back() -> None:
    flips = [True] * 8 + [False] * 8
    assert first_rejection(flips, 0.05) == EProcess(lost=7)
    assert not EProcess(lost=8, gained=8).rejects(0.05)


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_no_count_is_too_large(lost: int, gained: int) -> None:
    assert isfinite(log_e_value(lost, gained))
    assert 0 < e_value(lost, gained) <= float_info.max


def test_a_million_losses_are_the_largest_evidence_that_a_float_can_hold() -> None:
    assert e_value(10**6, 0) == pytest.approx(float_info.max)
    assert e_value(0, 10**6) == pytest.approx(1e-6, rel=1e-5)


@pytest.mark.parametrize(("lost", "gained"), [(-1, 0), (0, -1)])
def test_counts_that_are_none_are_refused(lost: int, gained: int) -> None:
    with pytest.raises(ValueError, match="counted from 0"):
        log_e_value(lost, gained)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_an_alpha_that_is_no_probability_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        EProcess().rejects(alpha)


def test_importing_statistics_does_not_load_scipy() -> None:
    probe = (
        "import pkgutil, sys, autosurgeon.stats as s\n"
        "for m in pkgutil.iter_modules(s.__path__): __import__(f'autosurgeon.stats.{m.name}')\n"
        "print('scipy' in sys.modules or 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
