"""The shipped policy against the incident that it was written for, lesson by lesson."""

from __future__ import annotations

import pytest

from autosurgeon.config import shipped
from autosurgeon.core.decision import PHASES, Evidence, FactValue, Judgement, Phase, Verdict
from autosurgeon.policy.evidence_values import constraints_of, representatives
from autosurgeon.policy.judge import REMEDY, VALIDITY, judge
from autosurgeon.policy.load import load_policy
from autosurgeon.policy.policy_tests import evidence_of, read_cases
from autosurgeon.policy.rules import check
from autosurgeon.policy.schema import Bounded, Rule

POLICY = load_policy(shipped("policies", "bd62.yaml"))
# A pass that every rule accepts.
CASES = shipped("policies", "bd62_test.yaml")
GOOD: Evidence = evidence_of(read_cases(CASES)[1]["good"], CASES)
BINDING = [rule for rule in POLICY.rules if rule.otherwise in REMEDY and rule.mode == "enforce"]
BOUNDED = [rule for rule in BINDING if rule.expr is None]
CONSTRAINTS = [constraint for phase in PHASES for constraint in constraints_of(POLICY, phase)]
BUILT_IN = {validity.bounded.fact for validity in VALIDITY if validity.phase == "promotion"}


def broken_value(bounded: Bounded) -> FactValue:
    """A value that the fact can have and that the bound refuses; None where it can have none, which holds too."""
    values = representatives(
        bounded.fact, [constraint for constraint in CONSTRAINTS if bounded.fact in constraint.facts]
    )
    return next((value for value in values if check(bounded, {bounded.fact: value}).holds is False), None)


def judged(phase: Phase, **changes: FactValue) -> Judgement:
    return judge(POLICY, phase, GOOD | {name.replace("__", "."): value for name, value in changes.items()})


@pytest.mark.parametrize("phase", PHASES)
def test_a_careful_pass_goes_through_every_gate(phase: Phase) -> None:
    assert judged(phase).verdict == Verdict.ACCEPT, judged(phase).reason


@pytest.mark.parametrize("rule", BOUNDED, ids=lambda rule: rule.id)
def test_each_rule_alone_refuses_a_pass_that_breaks_it(rule: Rule) -> None:
    judgement = judge(POLICY, rule.phase, GOOD | {rule.fact: broken_value(rule)})
    assert rule.id in [result.rule_id for result in judgement.broken()]
    if rule.fact in BUILT_IN:  # invalid evidence is INVALID under any rule
        assert judgement.verdict == Verdict.INVALID
    else:
        assert judgement.verdict == REMEDY[rule.otherwise]
        assert rule.id in judgement.reason


@pytest.mark.parametrize("rule", BOUNDED, ids=lambda rule: rule.id)
def test_no_rule_passes_without_its_fact(rule: Rule) -> None:
    assert judge(POLICY, rule.phase, GOOD | {rule.fact: None}).verdict == Verdict.INCONCLUSIVE


def test_the_recipe_of_bd62_is_refused_before_any_compute_is_spent() -> None:
    judgement = judged(
        "proposal",
        recipe__mix="union",
        recipe__epochs=4,
        recipe__lr_ratio=2.0,
        recipe__rank=16,
        data__rows=310,
        data__mastered_rows=120,
        targets__leaking=1,
    )
    assert judgement.verdict == Verdict.REJECT
    assert {rule.rule_id for rule in judgement.broken()} == {
        "poison-only",
        "no-mastered-rows",
        "stop-earlier",
        "cooler-on-few-rows",
        "small-rank-on-few-rows",
        "no-leaking-target",
    }


def test_a_row_that_is_a_held_out_task_is_refused_and_the_pair_is_named() -> None:
    judgement = judged("proposal", data__held_out_hits=1, data__held_out_pairs=("b/1 ~ b/2 (gate, same program)",))
    assert judgement.verdict == Verdict.REJECT
    assert judgement.reason == (
        "no-contamination: data.held_out_hits is 1, wanted at_most 0: b/1 ~ b/2 (gate, same program)"
    )


def test_rows_that_only_resemble_held_out_tasks_are_reported_and_not_refused() -> None:
    judgement = judged("proposal", data__near_hits=300)
    assert judgement.verdict == Verdict.ACCEPT
    assert judgement.evidence["data.near_hits"] == 300


def test_many_rows_allow_more_heat_and_rank() -> None:
    assert judged("proposal", data__rows=501, recipe__lr_ratio=2.0, recipe__rank=16).verdict == Verdict.ACCEPT


def test_a_leaking_bench_is_refused_as_a_target() -> None:
    assert [rule.rule_id for rule in judged("proposal", targets__leaking=1).broken()] == ["no-leaking-target"]


def test_the_loss_floor_stops_training_and_does_not_judge_it() -> None:
    judgement = judged("training", recipe__anchor_share=0.0, training__loss=0.3, training__loss_fraction=0.3)
    assert [(rule.rule_id, rule.otherwise) for rule in judgement.broken()] == [("loss-floor", "stop")]
    assert judgement.verdict == Verdict.ACCEPT


def test_where_anchors_are_read_too_a_falling_loss_stops_nothing() -> None:
    assert not judged("training", recipe__anchor_share=1.0, training__loss=0.03, training__loss_fraction=0.3).broken()


def test_a_single_lost_anchor_aborts_the_merge() -> None:
    assert judged("smoke", smoke__lost=1).verdict == Verdict.REJECT


def test_a_smoke_without_anchors_is_not_accepted() -> None:
    assert judged("smoke", smoke__tried=0).verdict == Verdict.INCONCLUSIVE


def test_humaneval_plus_two_does_not_pay_for_mbpp_minus_seven() -> None:
    judgement = judged("promotion", bench__worst_net=-7, gate__net=2)
    assert judgement.verdict == Verdict.REJECT
    assert [rule.rule_id for rule in judgement.broken()] == ["no-bench-worse"]


def test_a_pack_that_gained_nothing_is_held_and_not_rejected() -> None:
    assert judged("promotion", gate__net=0).verdict == Verdict.INCONCLUSIVE


def test_a_canary_that_fell_reverts() -> None:
    judgement = judged("watch", watch__canary_net=-1)
    assert judgement.verdict == Verdict.REJECT
    assert [rule.otherwise for rule in judgement.broken()] == ["revert"]


def test_a_rejection_outranks_every_doubt() -> None:
    assert judged("promotion", gate__net=None, anchors__lost=1).verdict == Verdict.REJECT


def test_every_lesson_is_a_sentence() -> None:
    for rule in POLICY.rules:
        assert rule.lesson.endswith("."), rule.id
