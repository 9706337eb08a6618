from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from autosurgeon.stats.alpha import AlphaBudget, spent_by

TOTALS = st.floats(1e-6, 0.999)
SHARES = st.lists(st.floats(0, 1), max_size=30)


@st.composite
def budgets(draw: st.DrawFn) -> AlphaBudget:
    total, shares = draw(TOTALS), draw(st.none() | SHARES)
    # A little below the total, so that the division's rounding cannot lift the sum above it.
    plan = None if shares is None else tuple(0.999 * total * share / max(sum(shares), 1) for share in shares)
    return AlphaBudget(total=total, plan=plan)


def spent(budget: AlphaBudget, looks: int) -> tuple[list[float], AlphaBudget]:
    alphas = []
    for _ in range(looks):
        alpha, budget = budget.spend()
        alphas.append(alpha)
    return alphas, budget


@given(budgets(), st.integers(0, 200))
def test_no_number_of_looks_spends_more_than_the_total(budget: AlphaBudget, looks: int) -> None:
    alphas, after = spent(budget, looks)
    assert all(alpha >= 0 for alpha in alphas)
    assert sum(map(Fraction, alphas)) <= Fraction(budget.total)
    assert after.left == pytest.approx(budget.total - sum(alphas), abs=1e-12)
    assert 0 <= after.left <= budget.total


@given(budgets(), st.integers(0, 50))
def test_a_look_leaves_no_more_than_there_was(budget: AlphaBudget, looks: int) -> None:
    _, before = spent(budget, looks)
    alpha, after = before.spend()
    assert after.left <= before.left
    assert alpha <= before.left + 1e-12
    assert before.looks == looks, "a budget is a value: spending makes a new one"


@given(budgets(), st.integers(0, 50))
def test_a_budget_read_back_goes_on_where_it_was(budget: AlphaBudget, looks: int) -> None:
    _, before = spent(budget, looks)
    again = AlphaBudget.model_validate_json(before.model_dump_json())
    assert again == before
    assert again.spend() == before.spend()


@given(TOTALS)
def test_without_a_plan_the_looks_never_become_free_and_almost_all_is_spent(total: float) -> None:
    budget = AlphaBudget(total=total, looks=10_000)
    alpha, _ = budget.spend()
    assert alpha > 0
    assert 0 < budget.left < 1e-4 * total


def test_the_first_looks_cost_what_the_series_says() -> None:
    alphas, _ = spent(AlphaBudget(total=0.05), 3)
    assert alphas == pytest.approx([0.030396, 0.007599, 0.003377], abs=1e-6)


def test_a_plan_is_followed_and_then_nothing_is_left_to_call_with() -> None:
    alphas, after = spent(AlphaBudget(total=0.05, plan=(0.02, 0.03)), 4)
    assert alphas == [0.02, 0.03, 0.0, 0.0]
    assert after.left == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("plan", [(0.04, 0.02), (1.5,), (-0.01,), (float("nan"),)])
def test_a_plan_beyond_its_total_or_of_no_probabilities_is_refused(plan: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        AlphaBudget(total=0.05, plan=plan)


@pytest.mark.parametrize("total", [0.0, 1.0, -0.1])
def test_a_total_that_is_no_risk_or_certainty_is_refused(total: float) -> None:
    with pytest.raises(ValidationError):
        AlphaBudget(total=total)


def test_a_look_that_jumps_spent_what_those_between_would_have_cost() -> None:
    alphas, after = spent(AlphaBudget(total=0.05), 6)
    assert spent_by([(2, alphas[1]), (3, alphas[2]), (6, alphas[5])]) == pytest.approx(0.05 - after.left)
    assert spent_by([]) == 0
