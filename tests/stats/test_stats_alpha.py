from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from autosurgeon.stats.alpha import AlphaBudget

TOTALS = st.floats(1e-6, 0.999)
BUDGETS = st.builds(AlphaBudget, total=TOTALS)


def spent(budget: AlphaBudget, looks: int) -> tuple[list[float], AlphaBudget]:
    alphas = []
    for _ in range(looks):
        alpha, budget = budget.spend()
        alphas.append(alpha)
    return alphas, budget


@given(BUDGETS, st.integers(0, 200))
def test_no_number_of_looks_spends_more_than_the_total(budget: AlphaBudget, looks: int) -> None:
    alphas, after = spent(budget, looks)
    assert all(alpha >= 0 for alpha in alphas)
    assert sum(map(Fraction, alphas)) <= Fraction(budget.total)
    assert after.left == pytest.approx(budget.total - sum(alphas), abs=1e-12)
    assert 0 <= after.left <= budget.total


@given(BUDGETS, st.integers(0, 50))
def test_a_look_never_increases_what_is_left(budget: AlphaBudget, looks: int) -> None:
    _, before = spent(budget, looks)
    alpha, after = before.spend()
    assert after.left <= before.left
    assert alpha <= before.left + 1e-12
    assert before.looks == looks, "a budget is a value: spending makes a new one"


@given(BUDGETS, st.integers(0, 50))
def test_a_budget_survives_a_round_trip_through_json(budget: AlphaBudget, looks: int) -> None:
    _, before = spent(budget, looks)
    again = AlphaBudget.model_validate_json(before.model_dump_json())
    assert again == before
    assert again.spend() == before.spend()


@given(TOTALS)
def test_looks_always_have_some_alpha_and_many_looks_spend_almost_all_of_it(total: float) -> None:
    budget = AlphaBudget(total=total, looks=10_000)
    alpha, _ = budget.spend()
    assert alpha > 0
    assert 0 < budget.left < 1e-4 * total


def test_the_first_looks_have_the_alphas_of_the_series() -> None:
    alphas, _ = spent(AlphaBudget(total=0.05), 3)
    assert alphas == pytest.approx([0.030396, 0.007599, 0.003377], abs=1e-6)


@pytest.mark.parametrize("total", [0.0, 1.0, -0.1])
def test_a_total_outside_of_0_to_1_is_refused(total: float) -> None:
    with pytest.raises(ValidationError):
        AlphaBudget(total=total)
