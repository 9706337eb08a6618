from __future__ import annotations

import math
from typing import Any

import pytest
from builders import make_policy, make_rule
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from autosurgeon.core.decision import PHASES, Phase
from autosurgeon.policy.facts import ALONE, BY_NAME, FACTS, known_at
from autosurgeon.policy.schema import Rule

BOUNDS: dict[str, Any] = {"at_most": 1, "at_least": 1, "equals": 1, "one_of": [1, 2], "subset_of": ["a"]}


def refused(rule: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        make_policy(rule)
    return str(caught.value)


def test_every_fact_has_a_name_of_its_own_and_a_sentence() -> None:
    assert len(BY_NAME) == len(FACTS)
    for fact in FACTS:
        assert fact.sentence.endswith("."), fact.name
        assert fact.unit, fact.name


def test_a_fact_stays_known_in_later_phases_but_a_phase_alone_sees_only_its_own() -> None:
    for fact in FACTS:
        seen = [phase for phase in PHASES if known_at(fact, phase)]
        start = PHASES.index(fact.phase)
        assert seen == ([fact.phase] if fact.phase in ALONE else list(PHASES[start:-1]))


@pytest.mark.parametrize("name", ["slice.lab-mbpp.gate.net", "slice.a.b.all.n"])
def test_each_bench_and_split_has_facts_of_its_own(name: str) -> None:
    rule = make_rule("r", name, at_least=0)
    assert make_policy(rule).rules[0].fact == name


@pytest.mark.parametrize("name", ["slice.lab.canary.net", "slice.lab.gate.netto", "slice..gate"])
def test_a_slice_that_is_not_measured_is_no_fact(name: str) -> None:
    assert "unknown fact" in refused(make_rule("r", name, at_least=0))


@given(st.sets(st.sampled_from(sorted(BOUNDS))).filter(lambda names: len(names) != 1))
def test_a_rule_has_exactly_one_bound(names: set[str]) -> None:
    message = refused(make_rule("r", "gate.net", **{name: BOUNDS[name] for name in names}))
    assert "exactly one bound" in message


def test_an_unknown_fact_is_refused_with_the_nearest_name() -> None:
    assert "did you mean 'gate.net'" in refused(make_rule("r", "gate.nett", at_least=1))


def test_an_unknown_fact_in_a_condition_is_refused_too() -> None:
    message = refused(make_rule("r", "gate.net", at_least=1, when={"fact": "data.row", "at_most": 5}))
    assert "did you mean 'data.rows'" in message


@pytest.mark.parametrize("fact", ["recipe.mix", "pack.verified"])
def test_a_bound_in_numbers_needs_a_fact_in_numbers(fact: str) -> None:
    assert "needs a number" in refused(make_rule("r", fact, at_most=1))


@pytest.mark.parametrize(
    "changes",
    [
        {"fact": "gate.net", "subset_of": ["a"]},
        {"fact": "data.near_pairs", "equals": "a"},
        {"fact": "data.near_pairs", "at_most": 1},
    ],
)
def test_a_list_has_a_bound_of_its_own(changes: dict[str, Any]) -> None:
    assert "is for lists" in refused(make_rule("r", **changes)) or "needs a number" in refused(
        make_rule("r", **changes)
    )


def test_a_fact_that_names_what_another_counts_is_a_list_of_the_same_phase() -> None:
    naming = [(fact, BY_NAME[fact.named_by]) for fact in FACTS if fact.named_by]
    assert naming
    for fact, names in naming:
        assert (names.type, names.phase) == ("list", fact.phase)


def test_a_fact_that_is_not_measured_yet_is_refused() -> None:
    assert "not known at phase" in refused(make_rule("r", "training.loss", phase="proposal", at_most=1))


def test_a_condition_on_a_fact_that_is_not_measured_yet_is_refused() -> None:
    rule = make_rule("r", "recipe.rank", phase="proposal", at_most=8, when={"fact": "gate.net", "at_least": 0})
    assert "gate.net is not known at phase 'proposal'" in refused(rule)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 10**400])
@pytest.mark.parametrize("bound", ["at_most", "at_least", "equals", "one_of"])
def test_a_bound_is_a_finite_number(bound: str, number: float) -> None:
    value = [number] if bound == "one_of" else number
    assert "finite" in refused(make_rule("r", "gate.net") | {bound: value})


@pytest.mark.parametrize("phase", ["proposal", "training", "smoke", "promotion"])
def test_only_the_watch_reverts(phase: Phase) -> None:
    assert "belongs to phase 'watch'" in refused(
        make_rule("r", "recipe.epochs", phase=phase, at_most=2, otherwise="revert")
    )


@pytest.mark.parametrize("otherwise", ["reject", "hold"])
def test_the_watch_cannot_reject_what_is_live_already(otherwise: str) -> None:
    rule = make_rule("r", "watch.canary_net", phase="watch", at_least=0, otherwise=otherwise)
    assert "no other remedy" in refused(rule)


@pytest.mark.parametrize(
    "changes",
    [
        {"fact": "training.epochs", "at_least": 1},
        {"fact": "training.loss", "at_most": 1},
        {"fact": "training.kl", "at_least": 0.1},
        {"fact": "training.gradient_norm", "at_most": 1},
    ],
)
def test_training_stops_only_at_a_floor_of_its_loss_or_where_it_is_too_far_from_its_parent(
    changes: dict[str, Any],
) -> None:
    assert "`stop` needs" in refused(make_rule("r", phase="training", otherwise="stop", **changes))


def test_when_a_training_may_be_stopped_is_known_before_it() -> None:
    few = {"when": {"fact": "data.rows", "at_most": 5}}
    assert Rule.model_validate(
        make_rule("r", "training.loss", phase="training", at_least=1, otherwise="stop", **few)
    ).when
    late = {"when": {"fact": "training.epochs", "at_most": 5}}
    message = refused(make_rule("r", "training.loss", phase="training", at_least=1, otherwise="stop", **late))
    assert "known before the training" in message


@pytest.mark.parametrize("fact", ["training.kl", "training.kl_anchors", "training.anchor_loss_rise"])
def test_a_rule_may_end_a_training_that_went_too_far_from_its_parent(fact: str) -> None:
    rule = Rule.model_validate(make_rule("r", fact, phase="training", at_most=0.1, otherwise="stop"))
    assert (rule.fact, rule.at_most) == (fact, 0.1)


@pytest.mark.parametrize(
    "wrong",
    [{"id": "No Loss"}, {"lesson": ""}, {"mode": "off"}, {"otherwise": "accept"}, {"phase": "merge"}, {"atmost": 2}],
)
def test_a_rule_with_invalid_fields_is_refused(wrong: dict[str, Any]) -> None:
    name = next(iter(wrong))
    assert name in refused(make_rule("r", "gate.net", at_least=1) | wrong)


def test_the_digest_depends_on_the_content_of_a_policy() -> None:
    one = make_policy(make_rule("r", "gate.net", at_least=1))
    same = make_policy(dict(reversed(make_rule("r", "gate.net", at_least=1).items())))
    other = make_policy(make_rule("r", "gate.net", at_least=2))
    assert one.digest == same.digest != other.digest


def test_in_audit_nothing_binds_but_the_watch_where_it_is_left_on() -> None:
    policy = make_policy(
        make_rule("r", "gate.net", at_least=1),
        make_rule("w", "watch.canary_net", phase="watch", at_least=0, otherwise="revert"),
    )
    assert [rule.mode for rule in policy.in_audit(watch=False).rules] == ["audit", "enforce"]
    assert [rule.mode for rule in policy.in_audit(watch=True).rules] == ["audit", "audit"]
    assert policy.in_audit(watch=False).digest != policy.digest
