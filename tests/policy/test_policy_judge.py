from __future__ import annotations

import math
from typing import Any

import pytest
from builders import BENCHED, make_policy, make_rule
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.core.decision import Evidence, FactValue, Verdict
from autosurgeon.policy.judge import judge
from autosurgeon.policy.rules import apply_rule

NUMBERS = ("gate.net", "gate.net_split", "total.net", "bench.worst_net_over_base", "bench.worst_net")
RANK = list(Verdict)
NOT_NUMBERS: list[FactValue] = [None, math.nan, math.inf, -math.inf]


def result_of(rule: dict[str, Any], evidence: Evidence) -> str:
    return apply_rule(make_policy(rule).rules[0], evidence)[0].result


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[dict[str, Any]], Evidence, str, int]:
    """Rules, one per fact, evidence, and one fact with how much worse it may get."""
    rules = []
    for fact in NUMBERS:
        bound = draw(st.sampled_from(["at_most", "at_least"]))
        otherwise = draw(st.sampled_from(["reject", "hold", "warn"]))
        mode = draw(st.sampled_from(["enforce", "enforce", "audit"]))
        rules.append(
            make_rule(fact.replace(".", "-").replace("_", "-"), fact, otherwise=otherwise, mode=mode)
            | {bound: draw(st.integers(-3, 3))}
        )
    evidence: Evidence = {fact: draw(st.integers(-5, 5)) for fact in NUMBERS}
    return rules, evidence, draw(st.sampled_from(NUMBERS)), draw(st.integers(0, 6))


@given(cases())
def test_a_worse_fact_never_improves_the_verdict(case: tuple[list[dict[str, Any]], Evidence, str, int]) -> None:
    rules, evidence, fact, by = case
    rule = next(rule for rule in rules if rule["fact"] == fact)
    before = evidence[fact]
    assert isinstance(before, int)
    worse = evidence | {fact: before + by if "at_most" in rule else before - by}
    policy = make_policy(*rules)
    verdicts = [judge(policy, "promotion", facts).verdict for facts in (evidence, worse)]
    assert RANK.index(verdicts[1]) <= RANK.index(verdicts[0])


@given(cases(), st.sampled_from(NOT_NUMBERS))
def test_taking_a_fact_away_never_makes_a_verdict_acceptance(
    case: tuple[list[dict[str, Any]], Evidence, str, int], nothing: FactValue
) -> None:
    rules, evidence, fact, _ = case
    policy = make_policy(*rules)
    if judge(policy, "promotion", evidence | {fact: nothing}).verdict == Verdict.ACCEPT:
        assert judge(policy, "promotion", evidence).verdict == Verdict.ACCEPT or any(
            rule["fact"] == fact and (rule["mode"] == "audit" or rule["otherwise"] == "warn") for rule in rules
        )


@given(cases(), st.randoms())
def test_neither_the_order_of_rules_nor_of_facts_changes_the_verdict(
    case: tuple[list[dict[str, Any]], Evidence, str, int], chance: Any
) -> None:
    rules, evidence, _, _ = case
    first = judge(make_policy(*rules), "promotion", evidence)
    mixed = list(rules)
    chance.shuffle(mixed)
    again = judge(make_policy(*mixed), "promotion", dict(reversed(evidence.items())))
    assert again.verdict == first.verdict
    assert again.evidence == first.evidence


@given(cases())
def test_the_same_policy_and_evidence_give_the_same_judgement(
    case: tuple[list[dict[str, Any]], Evidence, str, int],
) -> None:
    rules, evidence, _, _ = case
    assert judge(make_policy(*rules), "promotion", evidence) == judge(make_policy(*rules), "promotion", evidence)


@pytest.mark.parametrize("nothing", NOT_NUMBERS)
@pytest.mark.parametrize("bound", ["at_most", "at_least"])
def test_a_missing_fact_never_passes(bound: str, nothing: FactValue) -> None:
    policy = make_policy(make_rule("r", "gate.net") | {bound: 0})
    judgement = judge(policy, "promotion", {"gate.net": nothing})
    assert judgement.rules[0].result == "missing"
    assert judgement.verdict == Verdict.INCONCLUSIVE
    assert "gate.net is missing" in judgement.reason


def test_evidence_without_the_fact_is_inconclusive() -> None:
    assert judge(make_policy(make_rule("r", "gate.net", at_least=0)), "promotion", {}).verdict == Verdict.INCONCLUSIVE


def test_a_phase_without_rules_is_inconclusive() -> None:
    judgement = judge(make_policy(make_rule("r", "gate.net", at_least=0)), "smoke", {"smoke.lost": 0})
    assert judgement.verdict == Verdict.INCONCLUSIVE
    assert "no rule speaks" in judgement.reason


@pytest.mark.parametrize(
    ("otherwise", "verdict"),
    [("reject", Verdict.REJECT), ("hold", Verdict.INCONCLUSIVE), ("warn", Verdict.ACCEPT)],
)
def test_a_broken_rule_has_the_remedy_that_it_names(otherwise: str, verdict: Verdict) -> None:
    policy = make_policy(make_rule("r", "gate.net", at_least=1, otherwise=otherwise))
    assert judge(policy, "promotion", BENCHED | {"gate.net": 0}).verdict == verdict
    assert judge(policy, "promotion", BENCHED | {"gate.net": 1}).verdict == Verdict.ACCEPT


@pytest.mark.parametrize("fact", BENCHED)
def test_evidence_of_unknown_validity_is_held(fact: str) -> None:
    policy, evidence = make_policy(make_rule("r", "gate.net", at_least=1)), BENCHED | {"gate.net": 1}
    assert judge(policy, "promotion", evidence).verdict == Verdict.ACCEPT
    held = judge(policy, "promotion", {name: value for name, value in evidence.items() if name != fact})
    assert held.verdict == Verdict.INCONCLUSIVE
    assert held.reason == f"whether this is evidence at all is not known: {fact} is missing"


def test_every_rule_is_evaluated_even_after_one_failed() -> None:
    policy = make_policy(make_rule("first", "gate.net", at_least=1), make_rule("second", "gate.lost", at_most=0))
    judgement = judge(policy, "promotion", {"gate.net": 0, "gate.lost": 3})
    assert [rule.rule_id for rule in judgement.broken()] == ["first", "second"]
    assert [rule.margin for rule in judgement.rules] == [-1, -3]
    assert judgement.reason == "first: gate.net is 0, wanted at_least 1; second: gate.lost is 3, wanted at_most 0"


def test_an_audit_rule_is_measured_and_does_not_bind() -> None:
    policy = make_policy(make_rule("r", "gate.net", at_least=1, mode="audit"))
    judgement = judge(policy, "promotion", BENCHED | {"gate.net": 0})
    assert judgement.verdict == Verdict.ACCEPT
    assert [rule.rule_id for rule in judgement.broken(mode="audit")] == ["r"]


def test_a_rule_whose_condition_does_not_hold_is_silent_and_one_whose_condition_is_missing_is_not() -> None:
    rule = make_rule("r", "recipe.rank", phase="proposal", at_most=8, when={"fact": "data.rows", "at_most": 500})
    assert result_of(rule, {"recipe.rank": 16, "data.rows": 501}) == "skipped"
    assert result_of(rule, {"recipe.rank": 16, "data.rows": 500}) == "failed"
    assert result_of(rule, {"recipe.rank": 8, "data.rows": 500}) == "passed"
    assert result_of(rule, {"recipe.rank": 8, "data.rows": None}) == "missing"
    assert result_of(rule, {"recipe.rank": None, "data.rows": 9}) == "missing"


@given(st.integers(-9, 9), st.integers(-9, 9))
def test_the_margin_is_how_far_inside_its_bound_a_fact_is(bound: int, observed: int) -> None:
    policy = make_policy(make_rule("most", "gate.net", at_most=bound), make_rule("least", "gate.net", at_least=bound))
    most, least = judge(policy, "promotion", {"gate.net": observed}).rules
    assert most.margin == bound - observed == -(least.margin or 0)
    assert (most.result == "passed") == (observed <= bound)
    assert (least.result == "passed") == (observed >= bound)


@pytest.mark.parametrize(
    ("fact", "wanted", "observed", "result"),
    [
        ("pack.verified", True, True, "passed"),
        ("pack.verified", True, False, "failed"),
        ("pack.verified", True, 1, "failed"),
        ("gate.net", 1, 1, "passed"),
        ("gate.net", 1, 1.0, "passed"),
        ("gate.net", 1.0, 1, "passed"),
        ("gate.net", 1, True, "failed"),
        ("recipe.mix", "poison", "union", "failed"),
    ],
)
def test_equality_knows_truth_from_numbers_and_takes_numbers_by_value(
    fact: str, wanted: FactValue, observed: FactValue, result: str
) -> None:
    assert result_of(make_rule("r", fact, equals=wanted), {fact: observed}) == result
    assert result_of(make_rule("r", fact, one_of=["other", wanted]), {fact: observed}) == result
