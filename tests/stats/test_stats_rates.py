from __future__ import annotations

from itertools import combinations
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.stats.rates import pass_at_k, wilson


@st.composite
def shares(draw: st.DrawFn, least: int = 1, most: int = 2000) -> tuple[int, int]:
    n = draw(st.integers(least, most))
    return draw(st.integers(0, n)), n


@st.composite
def samplings(draw: st.DrawFn, most: int = 300) -> tuple[int, int, int]:
    n = draw(st.integers(1, most))
    return n, draw(st.integers(0, n)), draw(st.integers(1, n))


@given(shares(), st.floats(0.01, 0.9999))
def test_the_interval_lies_in_0_to_1_and_around_the_share(share: tuple[int, int], confidence: float) -> None:
    successes, n = share
    low, high = wilson(successes, n, confidence)
    assert 0 <= low <= successes / n + 1e-12
    assert successes / n - 1e-12 <= high <= 1
    assert low < high


@given(shares(), st.floats(0.01, 0.9999))
def test_the_interval_of_failures_mirrors_the_interval_of_successes(share: tuple[int, int], confidence: float) -> None:
    successes, n = share
    low, high = wilson(successes, n, confidence)
    assert wilson(n - successes, n, confidence) == pytest.approx((1 - high, 1 - low), abs=1e-12)


@given(shares(), st.floats(0.01, 0.99))
def test_more_confidence_widens_the_interval_and_a_success_raises_it(share: tuple[int, int], confidence: float) -> None:
    successes, n = share
    low, high = wilson(successes, n, confidence)
    wider = wilson(successes, n, confidence + 0.005)
    assert wider.low <= low and high <= wider.high
    higher = wilson(successes + 1, n + 1, confidence)
    assert higher.low >= low and higher.high >= high


@given(shares())
def test_each_end_is_where_the_score_test_just_rejects_the_share(share: tuple[int, int]) -> None:
    successes, n = share
    for end in wilson(successes, n):
        if 1e-9 < end < 1 - 1e-9:
            score = abs(successes / n - end) / (end * (1 - end) / n) ** 0.5
            assert score == pytest.approx(1.959963984540054, rel=1e-6)


@pytest.mark.parametrize(
    ("successes", "n", "wanted"),
    # Newcombe 1998, table I.
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_the_interval_agrees_with_the_table(successes: int, n: int, wanted: tuple[float, float]) -> None:
    assert wilson(successes, n) == pytest.approx(wanted, abs=5e-5)


def test_without_trials_the_interval_is_0_to_1() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("successes", "n", "confidence"), [(2, 1, 0.9), (-1, 1, 0.9), (1, 2, 1.0), (1, 2, 0.0)])
def test_impossible_counts_and_confidences_are_refused(successes: int, n: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="between 0 and"):
        wilson(successes, n, confidence)


@pytest.mark.parametrize("n", range(1, 9))
def test_pass_at_k_is_the_share_of_draws_that_contain_a_pass(n: int) -> None:
    for c in range(n + 1):
        for k in range(1, n + 1):
            draws = list(combinations([index < c for index in range(n)], k))
            assert pass_at_k(n, c, k) == sum(map(any, draws)) / len(draws)


@given(samplings())
def test_pass_at_k_agrees_with_the_product_of_the_paper(sampling: tuple[int, int, int]) -> None:
    n, c, k = sampling
    product = 1.0 if n - c < k else 1 - prod(1 - k / i for i in range(n - c + 1, n + 1))
    assert pass_at_k(n, c, k) == pytest.approx(product, abs=1e-12)


@given(samplings())
def test_pass_at_k_is_a_probability_that_grows_with_passes_and_draws(sampling: tuple[int, int, int]) -> None:
    n, c, k = sampling
    here = pass_at_k(n, c, k)
    assert 0 <= here <= 1
    assert (here == 0) == (c == 0)
    if c < n:
        assert pass_at_k(n, c + 1, k) >= here
    if k < n:
        assert pass_at_k(n, c, k + 1) >= here


@given(samplings())
def test_pass_at_1_is_the_share_of_passes(sampling: tuple[int, int, int]) -> None:
    n, c, _ = sampling
    assert pass_at_k(n, c, 1) == c / n


def test_a_rare_pass_among_many_samples_keeps_its_digits() -> None:
    assert pass_at_k(10**17, 1, 1) == 1e-17


@pytest.mark.parametrize(("n", "c", "k"), [(5, 6, 1), (5, -1, 1), (5, 2, 0), (5, 2, 6), (0, 0, 1)])
def test_impossible_counts_of_samples_are_refused(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="pass@k wants"):
        pass_at_k(n, c, k)
