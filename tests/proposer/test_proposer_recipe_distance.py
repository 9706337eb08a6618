from __future__ import annotations

import math
from typing import Any

import pytest
from builders import make_recipe, make_record
from hypothesis import given, settings
from hypothesis import strategies as st

from autosurgeon.config import shipped
from autosurgeon.core.recipe import Quantization, Recipe
from autosurgeon.core.records import Feedback, PassRecord
from autosurgeon.policy.load import load_policy
from autosurgeon.proposer.bounds import clip, widen
from autosurgeon.proposer.recipe_distance import distance, nearest
from autosurgeon.proposer.sampler import MAX_DRAWS, Proposer
from autosurgeon.sections import SearchSettings, Span

BD62 = load_policy(shipped("policies", "bd62.yaml"))
RECIPES = st.builds(
    Recipe,
    parent=st.sampled_from(["base", "live"]),
    poison_share=st.floats(0.1, 1),
    anchor_share=st.floats(0, 4),
    epochs=st.integers(1, 8),
    lr=st.floats(1e-5, 1e-2),
    rank=st.sampled_from([1, 2, 8, 16, 64]),
    alpha_ratio=st.floats(0.5, 8),
    seed=st.integers(0, 9),
)


def proposer(search: SearchSettings, seed: int = 0) -> Proposer:
    bounds = clip(search, BD62)
    return Proposer(bounds, search, seed=seed, reference_lr=2e-3, quantization=Quantization.NONE)


def learned(count: int) -> list[PassRecord]:
    return [make_record(n, feedback=Feedback(value=float(n % 3)), lr=1e-3 * (1 + n / 50)) for n in range(1, count + 1)]


@given(RECIPES, RECIPES, RECIPES)
def test_the_distance_is_a_metric_that_does_not_look_at_seeds(one: Recipe, other: Recipe, third: Recipe) -> None:
    assert distance(one, one.model_copy(update={"seed": 77})) == 0
    assert distance(one, other) == distance(other, one) >= 0
    detour = distance(one, third) + distance(third, other)
    assert distance(one, other) <= detour or distance(one, other) == pytest.approx(detour)


def test_the_distance_is_symmetric_to_the_last_bit() -> None:
    one, other = make_recipe(lr=0.0078125), make_recipe(lr=0.005859375)
    assert distance(one, other) == distance(other, one)


@pytest.mark.parametrize(
    ("changes", "far"),
    [
        ({"lr": 2e-3}, 1.0),
        ({"rank": 4}, 1.0),
        ({"alpha_ratio": 4.0}, 1.0),
        ({"epochs": 2}, 1.0),
        ({"poison_share": 0.5}, 0.5),
        ({"anchor_share": 0.25}, 0.25),
        ({"parent": "base"}, math.inf),
    ],
)
def test_the_unit_of_distance_is_a_doubling_an_epoch_or_a_whole_share(changes: dict[str, Any], far: float) -> None:
    assert distance(make_recipe(), make_recipe(**changes)) == pytest.approx(far)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 12).map(learned),
    st.lists(RECIPES, max_size=6),
    st.integers(0, 9),
    st.sampled_from([0.0, 0.25, 0.6, 1.5]),
)
def test_a_recipe_near_a_refused_one_is_proposed_only_after_the_limit_of_draws(
    history: list[PassRecord], refused: list[Recipe], seed: int, least: float
) -> None:
    search = SearchSettings(refused_distance=least)
    # The first draw itself is refused, so that a second draw is needed.
    refused = [*refused, proposer(search, seed).propose(history)]
    proposal = proposer(search, seed).draw(history, refused)
    assert proposal == proposer(search, seed).draw(history, refused)
    assert proposal.distance == nearest(proposal.recipe, refused)
    assert proposal.distance >= least or proposal.draws == MAX_DRAWS
    assert proposal.draws == 1 if least == 0 else 1 < proposal.draws <= MAX_DRAWS


def test_if_all_draws_are_near_a_refused_recipe_the_farthest_is_proposed() -> None:
    point = {name: Span(low=1, high=1) for name in ("poison_share", "anchor_share", "epochs", "alpha_ratio")}
    search = SearchSettings(parents=("live",), rank=Span(low=8, high=8), lr_ratio=Span(low=0.5, high=0.55), **point)
    first = proposer(search).propose([])
    proposal = proposer(search).draw([], [first])
    assert proposal.draws == MAX_DRAWS
    assert 0 < proposal.distance < search.refused_distance


def test_passes_of_other_workspaces_replace_the_first_recipe_without_changing_the_number() -> None:
    elsewhere = learned(30)
    first, careful = proposer(SearchSettings()).draw([], (), elsewhere).recipe, proposer(SearchSettings()).propose([])
    assert first.seed == careful.seed
    assert first != careful


@given(st.integers(0, 5), st.sampled_from([1e-4, 2e-3, 0.3]))
def test_a_wider_search_contains_the_narrower_one_and_only_valid_recipes(times: int, reference_lr: float) -> None:
    usual = SearchSettings()
    wider = widen(usual, times, reference_lr)
    for name in ("poison_share", "anchor_share", "epochs", "lr_ratio", "rank", "alpha_ratio"):
        inner, outer = getattr(usual, name), getattr(wider, name)
        assert 0 < outer.low <= inner.low <= inner.high <= outer.high
    assert wider.epochs.high == 3 + times
    highest = {name: getattr(wider, name).high for name in ("poison_share", "anchor_share", "alpha_ratio")}
    rates = wider.lr_ratio.high * reference_lr
    Recipe(**highest, lr=rates, epochs=int(wider.epochs.high), rank=int(wider.rank.high))
    assert clip(wider, BD62).spans["epochs"].high == 2


def test_a_proposer_within_wider_bounds_draws_every_second_pass_at_random() -> None:
    search = SearchSettings()
    wide = proposer(search).within(clip(widen(search, 2, 2e-3), BD62))
    hot = [make_record(n, feedback=Feedback(value=9.0), lr=2e-3 * 0.9 + n * 1e-6) for n in range(1, 41)]
    even, odd = ([wide.propose(hot[:n]).lr / 2e-3 for n in range(start, 40, 2)] for start in (21, 20))
    assert min(odd) < search.lr_ratio.low
    assert sum(ratio > 0.4 for ratio in even) > sum(ratio > 0.4 for ratio in odd)
