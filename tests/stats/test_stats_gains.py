"""The evidence of sampled gains: its error under the null, its limits, and what it sees."""

from __future__ import annotations

from itertools import product
from math import exp, inf, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.stats.gains import CONFIRMED, SHARES, Pairs, log_e_gain, p_luck

PAIRS = st.builds(Pairs, won=st.integers(0, 40), lost=st.integers(0, 40))


def test_without_tasks_or_pairs_that_differ_there_is_no_evidence() -> None:
    assert log_e_gain([]) == pytest.approx(0.0)
    assert log_e_gain([Pairs(), Pairs()]) == pytest.approx(0.0)
    assert p_luck(0.0) == 1.0


@given(st.lists(PAIRS, max_size=6))
def test_the_evidence_is_the_mean_over_shares_of_the_product_over_tasks(tasks: list[Pairs]) -> None:
    wanted = 0.0
    for share in SHARES:
        found = 1.0
        for pairs in tasks:
            found *= 1 - share + share * exp(pairs.log_e)
        wanted += found / len(SHARES)
    assert log_e_gain(tasks) == pytest.approx(log(wanted), rel=1e-9, abs=1e-9)


@given(st.lists(PAIRS, max_size=5), PAIRS, st.integers(1, 5))
def test_a_pair_won_never_lowers_the_evidence_and_a_pair_lost_never_raises_it(
    tasks: list[Pairs], one: Pairs, more: int
) -> None:
    before = log_e_gain([*tasks, one])
    assert log_e_gain([*tasks, one._replace(won=one.won + more)]) >= before - 1e-12
    assert log_e_gain([*tasks, one._replace(lost=one.lost + more)]) <= before + 1e-12


@given(st.floats(-1e6, 1e6), st.floats(0, 1e3))
def test_more_evidence_is_never_more_likely_luck(log_e: float, more: float) -> None:
    assert 0 <= p_luck(log_e + more) <= p_luck(log_e) <= 1


def test_thousands_of_clear_gains_overflow_nothing() -> None:
    assert log_e_gain([Pairs(won=1000)] * 1000) < inf
    assert p_luck(log_e_gain([Pairs(won=1000)] * 1000)) == 0.0


@pytest.mark.parametrize(("won", "is_confirmed"), [(6, False), (7, True)])
def test_seven_pairs_won_and_none_lost_confirm_a_task_by_themselves(won: int, is_confirmed: bool) -> None:
    assert (Pairs(won=won).log_e >= CONFIRMED) is is_confirmed


def test_coins_that_are_dropped_when_they_fall_behind_exceed_a_bound_no_more_often_than_it_allows() -> None:
    """Exact, by all outcomes of two tasks of fair pairs, sampled one pair at a time until three or a deficit."""
    expected = 0.0
    for outcomes in product((1, -1), repeat=6):
        best = 0.0
        for size in (1, 2, 3):
            # Task two is sampled only while task one is not behind, as any rule that sees only the past may decide.
            first, second = outcomes[:size], outcomes[3 : 3 + size]
            counts = [Pairs(run.count(1), run.count(-1)) for run in (first, second)]
            if any(pairs.lost > pairs.won for pairs in counts):
                best = max(best, log_e_gain(counts))
                break
            best = max(best, log_e_gain(counts))
        expected += (best >= log(2.0)) / 2**6
    assert expected <= 0.5
