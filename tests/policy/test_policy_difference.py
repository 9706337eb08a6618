"""Two policies: what one lets pass and the other does not. Every answer is held against the judge."""

from __future__ import annotations

import json
import math
import random
from itertools import permutations

import pytest
from builders import BENCHED, make_policy, make_rule
from hypothesis import given, settings
from hypothesis import strategies as st
from small_policies import evidence, pairs, policies

from autosurgeon.config import shipped
from autosurgeon.core.decision import Evidence, Phase, Verdict
from autosurgeon.policy import counterfactual
from autosurgeon.policy.difference import PhaseDifference, diff
from autosurgeon.policy.evidence_values import constraints_of, representatives
from autosurgeon.policy.judge import judge
from autosurgeon.policy.load import load_policy
from autosurgeon.policy.schema import Policy

SHIPPED = {name: load_policy(shipped("policies", f"{name}.yaml")) for name in ("bd62", "strict", "permissive")}
PAIRS = list(permutations(SHIPPED, 2))


def at(phase: Phase, a: Policy, b: Policy) -> PhaseDifference:
    return next(found for found in diff(a, b) if found.phase == phase)


def check_witnesses(found: PhaseDifference, a: Policy, b: Policy) -> None:
    """Each is real, and JSON can hold it."""
    for answer, accepts in ((found.a_only, "a"), (found.b_only, "b"), (found.remedy, "")):
        if answer.witness is None:
            continue
        facts = answer.witness.evidence
        json.dumps(facts, allow_nan=False)
        judged = {"a": judge(a, found.phase, facts), "b": judge(b, found.phase, facts)}
        assert (answer.witness.a, answer.witness.b) == (judged["a"], judged["b"])
        assert [name for name in judged if judged[name].verdict == Verdict.ACCEPT] == list(accepts)
        if not accepts:
            assert {judged["a"].verdict, judged["b"].verdict} == {Verdict.REJECT, Verdict.INCONCLUSIVE}


def check_against(found: PhaseDifference, a: Policy, b: Policy, facts: Evidence) -> None:
    """Evidence at hand shows nothing that the answer denies."""
    verdicts = judge(a, found.phase, facts).verdict, judge(b, found.phase, facts).verdict
    if verdicts[0] == Verdict.ACCEPT != verdicts[1]:
        assert found.a_only.witness or found.a_only.undecided
    elif verdicts[1] == Verdict.ACCEPT != verdicts[0]:
        assert found.b_only.witness or found.b_only.undecided
    elif verdicts[0] != verdicts[1]:
        assert found.remedy.witness or found.remedy.undecided


@settings(max_examples=80, deadline=None)
@given(pairs(), st.data())
def test_a_denied_difference_is_never_found_and_a_shown_one_is_real(
    both: tuple[Policy, Policy], data: st.DataObject
) -> None:
    a, b = both
    for found in diff(a, b):
        check_witnesses(found, a, b)
        assert not found.undecided
        for _ in range(3):
            check_against(found, a, b, data.draw(evidence(found.phase)))


@settings(max_examples=30, deadline=None)
@given(policies())
def test_a_policy_is_the_same_as_itself(policy: Policy) -> None:
    assert all(found.same for found in diff(policy, policy))


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=str)
def test_a_random_search_over_the_shipped_policies_finds_nothing_that_is_denied(first: str, second: str) -> None:
    a, b = SHIPPED[first], SHIPPED[second]
    seeded = random.Random(f"{first} {second}")
    for found in diff(a, b):
        check_witnesses(found, a, b)
        assert not found.undecided
        rules = (*constraints_of(a, found.phase), *constraints_of(b, found.phase))
        facts = sorted({fact for rule in rules for fact in rule.facts})
        values = {fact: representatives(fact, rules) for fact in facts}
        good: Evidence = {}  # near to what passes, since nothing that is random passes twelve rules
        for answer in (found.a_only, found.b_only, found.remedy):
            good |= answer.witness.evidence if answer.witness else {}
        for _ in range(150):
            moved = seeded.sample(facts, seeded.randint(0, min(3, len(facts))))
            check_against(found, a, b, good | {fact: seeded.choice(values[fact]) for fact in moved})


def test_strict_is_tighter_and_permissive_looser_than_the_default() -> None:
    for name, relation in (("strict", "tighter"), ("permissive", "looser")):
        relations = [found.relation for found in diff(SHIPPED["bd62"], SHIPPED[name])]
        assert relations == ["same", relation, relation, "same", "same", relation, "same"]


def test_each_direction_has_evidence_of_its_own() -> None:
    a = make_policy(make_rule("net", "gate.net", at_least=2), make_rule("lost", "gate.lost", at_most=5))
    b = make_policy(make_rule("net", "gate.net", at_least=1), make_rule("lost", "gate.lost", at_most=3))
    found = at("promotion", a, b)
    assert found.relation == "incomparable"
    assert found.a_only.witness is not None
    assert found.a_only.witness.evidence["gate.lost"] in (4, 5)
    assert found.b_only.witness is not None
    assert found.b_only.witness.evidence["gate.net"] == 1


def test_bounds_that_no_value_distinguishes_are_the_same() -> None:
    a = make_policy(make_rule("r", "gate.lost", at_most=2))
    assert all(found.same for found in diff(a, make_policy(make_rule("other", "gate.lost", at_most=2.5))))
    assert at("promotion", a, make_policy(make_rule("r", "gate.lost", at_most=3))).relation == "looser"


def test_bounds_that_only_one_double_distinguishes_are_not_the_same() -> None:
    one, next_to_it = (
        make_policy(make_rule("r", "recipe.lr_ratio", phase="proposal", at_most=most))
        for most in (1.0, math.nextafter(1.0, 2.0))
    )
    assert at("proposal", one, next_to_it).relation == "looser"


def test_a_rule_on_a_fact_that_is_always_met_still_asks_for_it() -> None:
    a = make_policy(make_rule("r", "gate.net", at_least=1))
    b = make_policy(make_rule("r", "gate.net", at_least=1), make_rule("s", "gate.lost", at_least=0))
    found = at("promotion", a, b)
    assert found.relation == "tighter"
    assert found.a_only.witness is not None
    assert found.a_only.witness.evidence["gate.lost"] is None


def test_rules_that_speak_together_are_followed_through_their_conditions() -> None:
    few = {"fact": "data.rows", "at_most": 500}
    many = {"fact": "data.rows", "at_least": 501}
    split = [
        make_rule("few", "recipe.rank", phase="proposal", at_most=8, when=few),
        make_rule("many", "recipe.rank", phase="proposal", at_most=8, when=many),
    ]
    whole = make_policy(make_rule("all", "recipe.rank", phase="proposal", at_most=8))
    found = at("proposal", make_policy(*split), whole)
    assert (found.a_only.witness, found.relation) == (None, "looser")
    assert found.b_only.witness is not None
    assert found.b_only.witness.evidence["data.rows"] is None


def test_a_phase_without_rules_accepts_nothing_and_one_without_binding_rules_everything() -> None:
    nothing, all_of_it = make_policy(), make_policy(make_rule("r", "gate.net", at_least=1, mode="audit"))
    assert at("promotion", nothing, all_of_it).relation == "looser"
    assert at("promotion", all_of_it, nothing).relation == "tighter"
    assert at("smoke", nothing, all_of_it).same


def test_another_remedy_accepts_the_same_evidence_and_is_reported() -> None:
    a = make_policy(make_rule("r", "gate.net", at_least=1))
    b = make_policy(make_rule("r", "gate.net", at_least=1, otherwise="hold"))
    found = at("promotion", a, b)
    assert (found.relation, found.same) == ("same", False)
    assert found.remedy.witness is not None
    assert found.remedy.witness.a.verdict == Verdict.REJECT


def expression(text: str, rule_id: str = "e") -> dict[str, object]:
    return {"id": rule_id, "phase": "promotion", "expr": text, "otherwise": "hold", "lesson": "because"}


def test_an_expression_that_both_have_is_a_bound_like_any_other() -> None:
    shared = expression("gate.gained >= 2 * gate.lost")
    a, b = (make_policy(shared, make_rule("r", "gate.net", at_least=least)) for least in (1, 2))
    assert at("promotion", a, a).same
    assert at("promotion", a, b).relation == "tighter"
    more = make_policy(expression("gate.gained >= 2 * gate.lost && gate.net >= 1"))
    assert at("promotion", make_policy(shared), more).relation == "tighter"


def test_expressions_that_differ_are_tried_and_what_is_not_found_is_not_denied() -> None:
    net = make_policy(make_rule("r", "gate.net", at_least=1))
    tried = at("promotion", net, make_policy(expression("gate.net >= 1 && gate.lost <= 4")))
    assert tried.a_only.witness is not None
    same = at("promotion", make_policy(expression("gate.net >= 1")), make_policy(expression("1 <= gate.net", "f")))
    assert same.relation == "undecided"
    assert not same.same
    assert set(same.undecided) == {"expression e", "expression f"}


def test_text_and_lists_have_values_beyond_those_that_are_named() -> None:
    a = make_policy(make_rule("r", "data.near_pairs", subset_of=["a", "b"]))
    b = make_policy(make_rule("r", "data.near_pairs", subset_of=["b", "c"]))
    assert at("promotion", a, b).relation == "incomparable"
    both = make_policy(
        *a.model_dump(by_alias=True, exclude_none=True)["rules"],
        make_rule("s", "data.near_pairs", subset_of=["b", "c"]),
    )
    assert at("promotion", both, make_policy(make_rule("r", "data.near_pairs", subset_of=["b"]))).same


def test_what_the_judge_refuses_by_itself_is_never_shown() -> None:
    a = make_policy(make_rule("r", "bench.tasks", at_most=5))
    found = at("promotion", a, make_policy(make_rule("r", "bench.tasks", one_of=[1, 2, 3, 4, 5])))
    assert found.same
    assert at("promotion", a, make_policy(make_rule("r", "bench.tasks", at_most=4))).relation == "tighter"
    other = BENCHED | {"bench.tasks": 9, "bench.same_conditions": False}
    turned = counterfactual.counterfactual(a, "promotion", other)
    assert {change.fact: change.value for change in turned.changes} == {"bench.tasks": 5, "bench.same_conditions": True}
