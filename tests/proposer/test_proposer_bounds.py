from __future__ import annotations

from typing import Any

import pytest
from builders import make_policy, make_rule
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.config import shipped
from autosurgeon.errors import UserError
from autosurgeon.policy.load import load_policy
from autosurgeon.policy.schema import Policy
from autosurgeon.proposer.bounds import SPANS, Bounds, clip
from autosurgeon.sections import SearchSettings, Span

SEARCH = SearchSettings()


def policy_of(fact: str, **changes: Any) -> Policy:
    return make_policy(make_rule("r", f"recipe.{fact}", phase="proposal", **changes))


def test_the_shipped_policy_clips_the_shipped_search() -> None:
    policy = load_policy(shipped("policies", "bd62.yaml"))
    spans = clip(SEARCH, policy).spans
    assert set(spans) == set(SPANS)
    assert spans["epochs"].high == 2
    assert spans["rank"].high == 8
    assert spans["lr_ratio"].high == 1.0
    assert spans["anchor_share"].high <= 1.0
    assert spans["poison_share"] == SEARCH.poison_share


@given(low=st.floats(0.01, 2), high=st.floats(0.01, 2))
def test_a_clipped_span_lies_inside_the_search_and_the_rules(low: float, high: float) -> None:
    policy = make_policy(
        make_rule("least", "recipe.lr_ratio", phase="proposal", at_least=low),
        make_rule("most", "recipe.lr_ratio", phase="proposal", at_most=high),
    )
    search = SEARCH.model_copy(update={"lr_ratio": Span(low=0.3, high=1.2)})
    wanted = max(low, 0.3), min(high, 1.2)
    if wanted[0] > wanted[1]:
        with pytest.raises(UserError, match=r"leaves nothing of search\.lr_ratio"):
            clip(search, policy)
    else:
        span = clip(search, policy).spans["lr_ratio"]
        assert (span.low, span.high) == wanted


def test_a_fixed_value_leaves_one_point() -> None:
    assert clip(SEARCH, policy_of("lr_ratio", equals=0.5)).spans["lr_ratio"] == Span(low=0.5, high=0.5)


@given(bound=st.floats(0.001, 20), upper=st.booleans())
def test_a_policy_disjoint_from_the_shipped_span_replaces_it(bound: float, upper: bool) -> None:
    span = clip(SEARCH, policy_of("lr_ratio", **{"at_most" if upper else "at_least": bound})).spans["lr_ratio"]
    assert 0 < span.low <= span.high
    assert span.high <= bound if upper else span.low >= bound


@given(low=st.floats(1.6, 9), high=st.floats(1.6, 9))
def test_a_contradictory_policy_is_refused_for_the_shipped_span_too(low: float, high: float) -> None:
    policy = make_policy(
        make_rule("least", "recipe.lr_ratio", phase="proposal", at_least=low),
        make_rule("most", "recipe.lr_ratio", phase="proposal", at_most=high),
    )
    if low > high:
        with pytest.raises(UserError, match=r"leaves nothing of search\.lr_ratio"):
            clip(SEARCH, policy)
    else:
        span = clip(SEARCH, policy).spans["lr_ratio"]
        assert low <= span.low <= span.high <= high


@pytest.mark.parametrize("change", [{"mode": "audit"}, {"otherwise": "warn"}])
def test_a_rule_that_is_not_binding_clips_nothing(change: dict[str, str]) -> None:
    assert clip(SEARCH, policy_of("epochs", at_most=1, **change)).spans["epochs"] == SEARCH.epochs


def test_a_rule_of_a_later_phase_clips_nothing() -> None:
    policy = make_policy(make_rule("r", "recipe.epochs", phase="promotion", at_most=1))
    assert clip(SEARCH, policy).spans["epochs"] == SEARCH.epochs


def test_a_rule_with_a_condition_counts_as_applying() -> None:
    policy = policy_of("rank", at_most=4, when={"fact": "data.rows", "at_most": 1})
    assert clip(SEARCH, policy).spans["rank"].high == 4


@pytest.mark.parametrize(("fact", "low", "high"), [("rank", 5, 7), ("rank", 9, 15), ("epochs", 1.2, 1.8)])
def test_a_span_without_a_possible_value_is_refused(fact: str, low: float, high: float) -> None:
    policy = make_policy(
        make_rule("least", f"recipe.{fact}", phase="proposal", at_least=low),
        make_rule("most", f"recipe.{fact}", phase="proposal", at_most=high),
    )
    with pytest.raises(UserError, match=f"leaves nothing of search.{fact}"):
        clip(SEARCH, policy)


@pytest.mark.parametrize(
    ("changes", "parents"),
    [
        ({"equals": "base"}, ("base",)),
        ({"one_of": ["live"]}, ("live",)),
        ({"one_of": ["base", "live"]}, ("live", "base")),
    ],
)
def test_a_rule_on_the_parent_leaves_those_that_it_admits(changes: dict[str, Any], parents: tuple[str, ...]) -> None:
    assert clip(SEARCH, policy_of("parent", **changes)).parents == parents


def test_a_policy_that_admits_no_parent_is_refused() -> None:
    with pytest.raises(UserError, match="no parent"):
        clip(SEARCH, policy_of("parent", equals="unknown"))


def test_bounds_are_plain_values_that_compare() -> None:
    policy = policy_of("epochs", at_most=2)
    assert clip(SEARCH, policy) == clip(SEARCH, policy) != Bounds((), {})
