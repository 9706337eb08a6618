from __future__ import annotations

from typing import Any

import pytest
from builders import make_policy, make_record, make_rule
from hypothesis import given, settings
from hypothesis import strategies as st

from autosurgeon.config import shipped
from autosurgeon.core.recipe import Mix, Quantization, Recipe
from autosurgeon.core.records import Feedback, PassRecord
from autosurgeon.policy.evidence import recipe_facts
from autosurgeon.policy.load import load_policy
from autosurgeon.policy.rules import apply_rule
from autosurgeon.policy.schema import Policy
from autosurgeon.proposer.bounds import clip
from autosurgeon.proposer.sampler import Proposer
from autosurgeon.sections import SearchSettings, Span

BD62 = load_policy(shipped("policies", "bd62.yaml"))
SEARCH = SearchSettings()
REFERENCE_LR = 2e-3

FEEDBACK = st.none() | st.builds(
    Feedback,
    value=st.none() | st.integers(-9, 9).map(float),
    violations=st.dictionaries(st.sampled_from(["a", "b"]), st.floats(0.1, 9), max_size=2),
    failed=st.booleans(),
)
# Recipes may lie outside of today's bounds: the policy or the settings changed since.
PAST: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "feedback": FEEDBACK,
        "parent": st.sampled_from(["base", "live"]),
        "poison_share": st.floats(0.1, 1),
        "anchor_share": st.floats(0.05, 4),
        "epochs": st.integers(1, 8),
        "lr": st.floats(1e-5, 1e-2),
        "rank": st.sampled_from([1, 2, 8, 16, 64]),
        "alpha_ratio": st.floats(0.5, 8),
    }
)
HISTORIES = st.lists(PAST, max_size=9).map(
    lambda passes: [make_record(number, **content) for number, content in enumerate(passes, start=1)]
)


def proposer(policy: Policy = BD62, search: SearchSettings = SEARCH, seed: int = 0) -> Proposer:
    return Proposer(clip(search, policy), search, seed=seed, reference_lr=REFERENCE_LR, quantization=Quantization.NONE)


def objections(policy: Policy, recipe: Recipe) -> list[str]:
    """The rules that refuse the recipe's own facts, for a pass of few rows."""
    facts = recipe_facts(recipe, REFERENCE_LR) | {"data.rows": 10}
    rules = [rule for rule in policy.rules if rule.phase == "proposal" and rule.fact in facts]
    return [rule.id for rule in rules if apply_rule(rule, facts)[0].result != "passed"]


def tried(count: int, feedback: Feedback | None, **recipe: Any) -> list[PassRecord]:
    return [make_record(number, feedback=feedback, **recipe) for number in range(1, count + 1)]


@settings(max_examples=40)
@given(HISTORIES, st.integers(0, 99))
def test_no_proposal_is_refused_for_its_recipe(history: list[PassRecord], seed: int) -> None:
    recipe = proposer(seed=seed).propose(history)
    assert objections(BD62, recipe) == []
    assert recipe.mix == Mix.POISON


@settings(max_examples=40)
@given(HISTORIES, st.integers(0, 99))
def test_every_proposal_lies_inside_the_search(history: list[PassRecord], seed: int) -> None:
    recipe = proposer(seed=seed).propose(history)
    for name in ("poison_share", "anchor_share", "epochs", "rank", "alpha_ratio"):
        span: Span = getattr(SEARCH, name)
        assert span.low <= getattr(recipe, name) <= span.high
    assert recipe.rank.bit_count() == 1


@settings(max_examples=40)
@given(bound=st.floats(0.11, 1.4), least=st.booleans(), history=HISTORIES)
def test_rounding_of_the_rate_never_crosses_a_bound(bound: float, least: bool, history: list[PassRecord]) -> None:
    side = {"at_least": bound} if least else {"at_most": bound}
    policy = make_policy(make_rule("rate", "recipe.lr_ratio", phase="proposal", **side))
    assert objections(policy, proposer(policy).propose([])) == []
    assert objections(policy, proposer(policy).propose(history)) == []


@pytest.mark.parametrize("bound", [0.123, 0.246, 0.492, 0.493, 0.497])
def test_the_first_recipe_at_an_awkward_bound_is_not_refused(bound: float) -> None:
    policy = make_policy(make_rule("rate", "recipe.lr_ratio", phase="proposal", at_most=bound))
    assert objections(policy, proposer(policy).propose([])) == []


@settings(max_examples=20)
@given(HISTORIES)
def test_the_same_history_gives_the_same_proposal(history: list[PassRecord]) -> None:
    assert proposer().propose(history) == proposer().propose(history)


def test_each_pass_and_each_run_has_its_own_seed() -> None:
    seeds = {proposer(seed=seed).propose(tried(count, None)).seed for seed in range(3) for count in range(4)}
    assert len(seeds) == 12


def test_the_first_recipe_is_at_the_limit_of_the_incidents_lessons() -> None:
    recipe = proposer().propose([])
    assert (recipe.parent, recipe.epochs, recipe.rank) == ("live", 2, 8)
    assert (recipe.poison_share, recipe.anchor_share) == (1.0, 1.0)
    assert recipe.lr == pytest.approx(REFERENCE_LR)


@pytest.mark.parametrize(("low", "high", "rank"), [(9, 16, 16), (2, 6, 4), (3, 5, 4), (10, 40, 16), (1, 1, 1)])
def test_the_first_rank_is_the_nearest_allowed_power_of_two(low: float, high: float, rank: int) -> None:
    search = SEARCH.model_copy(update={"rank": Span(low=low, high=high)})
    assert proposer(make_policy(), search).propose([]).rank == rank


def test_the_first_recipe_has_the_required_epochs() -> None:
    search = SEARCH.model_copy(update={"epochs": Span(low=1.5, high=3)})
    assert proposer(make_policy(), search).propose([]).epochs == 2


def test_a_failure_of_the_world_does_not_affect_proposals() -> None:
    failed = Feedback(failed=True, value=9.0, violations={"a": 1.0})
    near, far = (tried(8, failed, lr=lr, epochs=epochs) for lr, epochs in ((1e-4, 1), (9e-3, 3)))
    assert proposer().propose(near) == proposer().propose(far)


def test_an_unfinished_pass_does_not_affect_proposals() -> None:
    near, far = (tried(8, None, lr=lr) for lr in (1e-4, 9e-3))
    assert proposer().propose(near) == proposer().propose(far)


def explored(refusal: Feedback) -> list[float]:
    """The proposed rates after passes at high rates had the best value, with this feedback."""
    history = []
    for number in range(1, 25):
        hot = number % 2 == 0
        lr = (0.95 if hot else 0.15) * REFERENCE_LR * (1 + number / 1000)
        history.append(make_record(number, feedback=refusal if hot else Feedback(value=1.0), lr=lr))
    return [proposer(seed=seed).propose(history).lr / REFERENCE_LR for seed in range(15)]


def test_a_refusal_outweighs_any_value() -> None:
    praised = explored(Feedback(value=9.0))
    refused = explored(Feedback(value=9.0, violations={"anchor-wins-kept": 3.0}))
    unmeasured = explored(Feedback(violations={"cooler-on-few-rows": 1.0}))
    assert sum(ratio > 0.5 for ratio in praised) > 10
    assert sum(ratio > 0.5 for ratio in refused) < 5
    assert sum(ratio > 0.5 for ratio in unmeasured) < 5


def test_a_forbidden_parent_is_not_proposed_in_spite_of_good_results() -> None:
    policy = make_policy(make_rule("r", "recipe.parent", phase="proposal", equals="live"))
    history = tried(6, Feedback(value=9.0), parent="base") + tried(6, Feedback(value=0.0), parent="live")
    assert {proposer(policy, seed=seed).propose(history).parent for seed in range(5)} == {"live"}


def test_the_organs_quantization_is_kept() -> None:
    bounds = clip(SEARCH, BD62)
    organ = Proposer(bounds, SEARCH, seed=0, reference_lr=1e-4, quantization=Quantization.NF4)
    recipe = organ.propose([])
    assert recipe.quantization == Quantization.NF4
    assert recipe.lr == pytest.approx(1e-4)
