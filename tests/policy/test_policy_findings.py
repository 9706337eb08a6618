"""The findings of `policy check`, and that each one is true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from builders import make_policy, make_rule
from hypothesis import given, settings
from hypothesis import strategies as st
from small_policies import evidence, policies

from autosurgeon.config import shipped
from autosurgeon.core.decision import Verdict
from autosurgeon.core.recipe import Recipe
from autosurgeon.policy.difference import diff
from autosurgeon.policy.domains import MOST_COUNTED, domain_of, typical
from autosurgeon.policy.facts import FACTS
from autosurgeon.policy.findings import Finding, find
from autosurgeon.policy.judge import judge
from autosurgeon.policy.load import load_policy
from autosurgeon.policy.rules import apply_rule
from autosurgeon.policy.schema import Policy

SHIPPED = [path for path in shipped("policies").glob("*.yaml") if not path.stem.endswith("_test")]


def found(*rules: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one.level, one.kind, one.rule_id) for one in find(make_policy(*rules))]


def one_finding(*rules: dict[str, Any]) -> Finding:
    (one,) = find(make_policy(*rules))
    return one


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_no_shipped_policy_gives_a_warning(path: Path) -> None:
    assert [one for one in find(load_policy(path)) if one.level != "note"] == []


@pytest.mark.parametrize(
    ("fact", "inside", "outside"),
    [
        ("recipe.epochs", [1, 100, 2.0], [0, 101, 1.5]),
        ("recipe.rank", [1, 1024], [0, 1025]),
        ("recipe.poison_share", [1, 1e-9], [0, 1.01]),
        ("recipe.anchor_share", [0, 4], [-0.1, 4.1]),
        ("recipe.lr", [1e-4, 0.999], [0, 1]),
        ("recipe.mix", ["poison", "union"], ["both"]),
        ("recipe.parent", ["base", "live"], ["dead"]),
        ("data.rows", [0, 7], [-1, 0.5]),
        ("training.epochs", [0.5], [-0.5]),
        ("gate.net", [-3, 3], [0.5]),
        ("gate.net_split", [-3], [0.5]),
        ("bench.worst_net_over_base", [-3], [0.5]),
        ("gate.p_regression", [0, 1, 0.5], [-0.1, 1.1]),
        ("recipe.lr_ratio", [0, 9], [-1]),
        ("pack.verified", [True, False], []),
    ],
)
def test_a_fact_has_a_domain(fact: str, inside: list[Any], outside: list[Any]) -> None:
    assert all(domain_of(fact).has(value) for value in inside)
    assert not any(domain_of(fact).has(value) for value in outside)


def test_every_typical_value_is_one_that_the_fact_can_have() -> None:
    assert all(domain_of(fact.name).has(typical(fact.name)) for fact in FACTS)
    assert {f"recipe.{name}" for name in Recipe.model_fields} & {fact.name for fact in FACTS}
    assert domain_of("data.rows").high == MOST_COUNTED


@pytest.mark.parametrize(
    "rule",
    [
        make_rule("r", "gate.lost", at_least=0),
        make_rule("r", "gate.p_regression", at_most=1),
        make_rule("r", "training.loss", at_least=0, otherwise="hold"),
        make_rule("r", "recipe.epochs", at_most=100),
        make_rule("r", "recipe.mix", one_of=["poison", "union"]),
        make_rule("r", "pack.verified", one_of=[True, False]),
        make_rule("r", "gate.net", at_least=1, when={"fact": "gate.lost", "at_least": 0}),
    ],
)
def test_a_bound_that_every_value_meets_is_noted_since_it_still_asks_for_the_fact(rule: dict[str, Any]) -> None:
    assert found(rule) == [("note", "never-binds", "r")]
    assert "only asks that" in one_finding(rule).message


@pytest.mark.parametrize(
    "when",
    [
        {"fact": "gate.lost", "at_most": -1},
        {"fact": "recipe.mix", "equals": "unoin"},
        {"fact": "gate.tasks", "equals": 1.5},
        {"fact": "pack.verified", "equals": "true"},
    ],
)
def test_a_condition_that_no_value_meets_leaves_its_rule_unreachable(when: dict[str, Any]) -> None:
    assert found(make_rule("r", "gate.net", at_least=1, when=when)) == [("warning", "unreachable", "r")]
    expression = {"id": "e", "phase": "promotion", "expr": "gate.net >= 1", "otherwise": "hold", "lesson": "x"}
    assert found(expression | {"when": when}) == [("warning", "unreachable", "e")]


def test_a_rule_whose_condition_implies_its_bound_never_fails() -> None:
    rule = make_rule("r", "data.rows", at_most=9, when={"fact": "data.rows", "at_most": 5})
    assert found(rule) == [("warning", "unreachable", "r")]


def test_a_rule_that_no_value_meets_is_an_error_and_under_a_condition_a_way_to_refuse() -> None:
    assert found(make_rule("r", "gate.lost", at_most=-1)) == [("error", "contradictory", "r")]
    assert found(make_rule("r", "recipe.mix", equals="poision")) == [("error", "contradictory", "r")]
    assert found(make_rule("r", "gate.lost", at_most=-1, otherwise="warn")) == [("note", "always-refuses", "r")]
    deny = make_rule("r", "recipe.mix", equals="poison", when={"fact": "recipe.mix", "equals": "union"})
    assert found(deny) == [("note", "always-refuses", "r")]


def test_two_rules_that_exclude_each_other_are_an_error() -> None:
    low, high = make_rule("low", "gate.net", at_most=1), make_rule("high", "gate.net", at_least=2)
    assert found(low, high) == [("error", "contradictory", "high")]
    assert "no value of gate.net is both at_least 2 and at_most 1 (low), so nothing could ever be accepted" in (
        one_finding(low, high).message
    )
    assert found(low, high | {"at_least": 1}) == []
    assert found(low, high | {"mode": "audit"}) == []


def test_rules_that_never_speak_together_do_not_exclude_each_other() -> None:
    low = make_rule("low", "gate.net", at_most=1, when={"fact": "gate.tasks", "at_most": 10})
    high = make_rule("high", "gate.net", at_least=2, when={"fact": "gate.tasks", "at_least": 11})
    assert found(low, high) == []
    met = found(low, high | {"when": {"fact": "gate.tasks", "at_least": 10}})
    assert met == [("error", "contradictory", "high")]


def test_three_rules_can_exclude_each_other_where_no_two_do() -> None:
    sets = (["base", "live"], ["a", "base"], ["a", "live"])
    rules = [make_rule(f"r-{n}", "gate.net", one_of=[ord(w[0]) for w in words]) for n, words in enumerate(sets)]
    assert found(*rules) == [("error", "contradictory", "r-2")]


def test_a_looser_bound_beside_a_tighter_one_is_redundant() -> None:
    tight, loose = make_rule("tight", "gate.lost", at_most=1), make_rule("loose", "gate.lost", at_most=2)
    assert found(tight, loose) == found(loose, tight) == [("warning", "redundant", "loose")]
    assert "tight (gate.lost at_most 1, reject)" in one_finding(tight, loose).message
    assert found(tight | {"otherwise": "hold"}, loose) == []
    assert found(tight, loose | {"otherwise": "hold"}) == [("warning", "redundant", "loose")]
    assert found(tight | {"when": {"fact": "gate.tasks", "at_most": 9}}, loose) == []
    sometimes = loose | {"when": {"fact": "gate.tasks", "at_most": 9}}
    assert found(tight, sometimes) == [("warning", "redundant", "loose")]
    assert "it still asks that gate.tasks is there" in one_finding(tight, sometimes).message


def test_of_two_equal_rules_the_later_one_is_redundant() -> None:
    one = make_rule("one", "gate.lost", at_most=1)
    assert found(one, one | {"id": "two"}) == [("warning", "redundant", "two")]
    assert found(one, one | {"id": "two", "at_most": 1.5}, one | {"id": "three"}) == [
        ("warning", "redundant", "three"),
        ("warning", "redundant", "two"),
    ]


@settings(max_examples=60, deadline=None)
@given(policies(), st.data())
def test_every_finding_is_true(policy: Policy, data: st.DataObject) -> None:
    for one in find(policy):
        rule = next(rule for rule in policy.rules if rule.id == one.rule_id)
        facts = data.draw(evidence(rule.phase))
        (result,) = apply_rule(rule, facts)
        if one.kind == "unreachable" or (one.kind == "never-binds" and rule.when is None):
            assert result.result != "failed"
        elif one.kind == "always-refuses":
            assert result.result != "passed"
        elif one.kind == "contradictory" and "where both" not in one.message:
            assert judge(policy, rule.phase, facts).verdict != Verdict.ACCEPT
        elif one.kind == "redundant" and "still asks" not in one.message:
            without = policy.model_copy(update={"rules": tuple(other for other in policy.rules if other != rule)})
            assert all(phase.same for phase in diff(policy, without))
