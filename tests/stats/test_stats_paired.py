from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.stats.paired import flips, p_difference, p_regression, power_line, smallest_called_loss

RESULTS = st.dictionaries(st.sampled_from([f"t{n}" for n in range(12)]), st.booleans())
COUNTS = st.integers(0, 200)


@given(RESULTS, RESULTS)
def test_the_reverse_comparison_swaps_lost_and_gained(before: dict[str, bool], after: dict[str, bool]) -> None:
    forth, back = flips(before, after), flips(after, before)
    assert (forth.lost, forth.gained, forth.tasks) == (back.gained, back.lost, back.tasks)
    assert forth.net == -back.net


@given(RESULTS, RESULTS)
def test_only_tasks_that_both_ran_are_compared(before: dict[str, bool], after: dict[str, bool]) -> None:
    found = flips(before, after)
    both = before.keys() & after.keys()
    assert found.tasks == len(both)
    assert set(found.lost) | set(found.gained) == {task for task in both if before[task] != after[task]}
    assert list(found.lost) == sorted(found.lost)


@given(RESULTS, RESULTS)
def test_the_net_is_the_difference_of_the_totals(before: dict[str, bool], after: dict[str, bool]) -> None:
    both = before.keys() & after.keys()
    assert flips(before, after).net == sum(after[t] for t in both) - sum(before[t] for t in both)


@given(RESULTS)
def test_a_pack_does_not_differ_from_itself(results: dict[str, bool]) -> None:
    assert flips(results, results) == ((), (), len(results))


@given(COUNTS, COUNTS)
def test_the_p_value_is_a_probability_above_zero(lost: int, gained: int) -> None:
    assert 0 < p_regression(lost, gained) <= 1


@given(COUNTS, COUNTS)
def test_both_tails_overlap_in_exactly_the_observed_split(lost: int, gained: int) -> None:
    both_tails = p_regression(lost, gained) + p_regression(gained, lost)
    observed = Fraction(comb(lost + gained, lost), 2 ** (lost + gained))
    assert both_tails == pytest.approx(float(1 + observed))


@given(COUNTS, COUNTS)
def test_a_loss_never_raises_the_p_value_and_a_gain_never_lowers_it(lost: int, gained: int) -> None:
    assert p_regression(lost + 1, gained) <= p_regression(lost, gained) <= p_regression(lost, gained + 1)


@pytest.mark.parametrize(
    ("lost", "gained", "wanted"), [(0, 0, 1.0), (0, 9, 1.0), (1, 0, 0.5), (5, 0, 1 / 32), (7, 2, 46 / 512)]
)
def test_the_p_value_agrees_with_the_table(lost: int, gained: int, wanted: float) -> None:
    assert p_regression(lost, gained) == wanted


@pytest.mark.parametrize("flipped", range(11))
def test_both_p_values_agree_with_an_enumeration_of_all_outcomes(flipped: int) -> None:
    ways = [sum(way) for way in product([0, 1], repeat=flipped)]
    for lost in range(flipped + 1):
        assert p_regression(lost, flipped - lost) == sum(other >= lost for other in ways) / len(ways)
        uneven = [other for other in ways if abs(2 * other - flipped) >= abs(2 * lost - flipped)]
        assert p_difference(lost, flipped - lost) == len(uneven) / len(ways)


@given(COUNTS, COUNTS)
def test_the_two_sided_p_value_is_symmetric(lost: int, gained: int) -> None:
    assert p_difference(lost, gained) == p_difference(gained, lost)
    assert 0 < p_difference(lost, gained) <= 1
    assert p_difference(lost, gained) == min(1.0, 2 * min(p_regression(lost, gained), p_regression(gained, lost)))


def test_ten_thousand_flips_are_tested_fast() -> None:
    assert p_difference(5000, 5000) == 1.0
    assert p_regression(5000, 5000) == pytest.approx(0.504, abs=1e-3)


@given(st.integers(0, 100), st.sampled_from([0.2, 0.05, 0.01]))
def test_the_smallest_called_loss_is_called_and_one_task_less_is_not(tasks: int, alpha: float) -> None:
    loss = smallest_called_loss(tasks, alpha)
    if loss is None:
        assert p_regression(tasks, 0) > alpha
    else:
        assert loss <= tasks
        assert p_regression(loss, 0) <= alpha < p_regression(loss - 1, 0)


@pytest.mark.parametrize(
    ("tasks", "alpha", "line"),
    [
        (264, 0.05, "this bench can see a loss of 5 or more tasks"),
        (378, 0.01, "this bench can see a loss of 7 or more tasks"),
        (4, 0.05, "this bench of 4 tasks can see no loss at alpha 0.05: not even all of its tasks"),
    ],
)
def test_one_line_describes_the_smallest_loss_that_a_bench_can_see(tasks: int, alpha: float, line: str) -> None:
    assert power_line(tasks, alpha) == line


@pytest.mark.parametrize(("tasks", "alpha"), [(10, 0.0), (10, 1.0), (-1, 0.05)])
def test_a_called_loss_needs_a_count_and_an_alpha_between_0_and_1(tasks: int, alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha lies"):
        smallest_called_loss(tasks, alpha)
