"""What holds for every policy and all evidence, sound or not."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from builders import make_policy, make_rule
from hypothesis import given
from hypothesis import strategies as st
from strategies import FEW, ODD, evidence, phases, policies, rules

from autosurgeon.config import shipped
from autosurgeon.core.decision import Evidence, FactValue, Judgement, Phase, Verdict, worst
from autosurgeon.core.digest import canonical_json
from autosurgeon.policy.domains import is_possible, possible_values, typical
from autosurgeon.policy.facts import BY_NAME, FACTS, Fact
from autosurgeon.policy.judge import IMPOSSIBLE, VALIDITY, judge, verdict_of
from autosurgeon.policy.load import load_policy
from autosurgeon.policy.policy_tests import judge_strictly
from autosurgeon.policy.rules import check, is_no_number
from autosurgeon.policy.schema import Policy, Rule

BD62 = load_policy(shipped("policies", "bd62.yaml"))
RANK = {verdict: number for number, verdict in enumerate(Verdict)}
drawn = phases.flatmap(lambda phase: st.tuples(st.just(phase), policies(phase), evidence(odd=True)))
sound = phases.flatmap(lambda phase: st.tuples(st.just(phase), policies(phase), evidence(odd=False)))
ruled = phases.flatmap(
    lambda phase: st.tuples(st.just(phase), policies(phase, least=1), evidence(odd=True), rules("more", phase))
)


@given(drawn)
def test_any_evidence_gives_a_judgement_that_can_be_stored(
    case: tuple[Phase, Policy, Evidence],
) -> None:
    phase, policy, facts = case
    judgement = judge(policy, phase, facts)
    line = canonical_json(judgement.model_dump(mode="json"))
    assert Judgement.model_validate(json.loads(line.encode("utf-8"))) == judgement


@given(drawn)
def test_the_same_policy_and_evidence_give_the_same_judgement(case: tuple[Phase, Policy, Evidence]) -> None:
    phase, policy, facts = case
    again = Policy.model_validate(policy.model_dump(mode="json", by_alias=True))
    assert judge(policy, phase, facts) == judge(again, phase, dict(reversed(facts.items())))


@given(drawn)
def test_what_was_recorded_gives_the_same_rules_and_verdict_again(case: tuple[Phase, Policy, Evidence]) -> None:
    phase, policy, facts = case
    first = judge(policy, phase, facts)
    again = judge(policy, phase, first.evidence)
    assert (again.verdict, again.rules, again.evidence) == (first.verdict, first.rules, first.evidence)


@given(ruled)
def test_one_more_rule_never_makes_a_verdict_better(case: tuple[Phase, Policy, Evidence, dict[str, Any]]) -> None:
    phase, policy, facts, more = case
    longer = policy.model_copy(update={"rules": (*policy.rules, Rule.model_validate(more))})
    assert RANK[judge(longer, phase, facts).verdict] <= RANK[judge(policy, phase, facts).verdict]


@given(drawn, st.sampled_from(FEW), st.sampled_from([None, math.nan, math.inf, -math.inf, "gone"]))
def test_taking_a_fact_away_never_makes_a_verdict_acceptance(
    case: tuple[Phase, Policy, Evidence], fact: str, nothing: float | str | None
) -> None:
    phase, policy, facts = case
    facts = {name: value for name, value in facts.items() if is_possible(name, _plain(value))}
    less = {name: value for name, value in facts.items() if name != fact}
    if nothing != "gone":
        less[fact] = nothing
    before, after = judge(policy, phase, facts), judge(policy, phase, less)
    assert after.verdict != Verdict.ACCEPT or before.verdict == Verdict.ACCEPT


def _plain(value: Any) -> Any:
    """As a decision would hold it: what is no value of any fact is missing."""
    return judge(make_policy(), "smoke", {"smoke.lost": value}).evidence["smoke.lost"]


@given(drawn, st.sampled_from(sorted(BY_NAME)), st.data())
def test_evidence_outside_a_facts_domain_never_gives_acceptance(
    case: tuple[Phase, Policy, Evidence], name: str, data: st.DataObject
) -> None:
    phase, policy, facts = case
    wrong = data.draw(ODD.filter(lambda value: not is_possible(name, _plain(value))))
    judgement = judge(policy, phase, facts | {name: wrong})
    assert judgement.verdict == Verdict.INVALID
    assert f"{IMPOSSIBLE}: {name} is " in judgement.reason
    assert possible_values(name) in judgement.reason


@given(phases, st.dictionaries(st.sampled_from(FEW), ODD, min_size=1))
def test_what_a_person_gives_is_invalid_where_any_of_it_cannot_be(phase: Phase, facts: dict[str, Any]) -> None:
    kinds = bool | int | float | str | None
    written: Evidence = {name: value for name, value in facts.items() if isinstance(value, kinds)}
    wrong = [name for name, value in written.items() if is_no_number(value) or not is_possible(name, _plain(value))]
    verdict = judge_strictly(BD62, phase, written).verdict
    assert verdict == Verdict.INVALID if wrong else True


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_a_typical_value_and_no_value_are_in_every_domain(fact: Fact) -> None:
    assert is_possible(fact.name, typical(fact.name))
    assert is_possible(fact.name, None)
    wrong: dict[str, FactValue] = {"number": "1", "text": 1, "truth": 1, "list": "a"}
    assert not is_possible(fact.name, wrong[fact.type])


@given(sound)
def test_the_verdict_is_the_worst_of_the_rules_and_none_without_rules(
    case: tuple[Phase, Policy, Evidence],
) -> None:
    phase, policy, facts = case
    judgement = judge(policy, phase, facts)
    verdicts = [verdict_of(result) for result in judgement.rules]
    known = all(check(v.bounded, facts).holds is not None for v in VALIDITY if v.phase == phase)
    silent = [] if policy.rules and known else [Verdict.INCONCLUSIVE]
    assert judgement.verdict == worst([*verdicts, *silent])
    if judgement.verdict == Verdict.ACCEPT:
        binding = [r for r in judgement.rules if r.mode == "enforce" and r.otherwise in ("reject", "hold", "revert")]
        assert all(result.result in ("passed", "skipped") for result in binding)


@given(st.lists(st.sampled_from(list(Verdict)), min_size=1))
def test_verdicts_have_one_order_and_the_worst_wins(verdicts: list[Verdict]) -> None:
    assert list(Verdict) == ["INVALID", "ERROR", "REJECT", "INCONCLUSIVE", "ACCEPT"]
    assert RANK[worst(verdicts)] == min(RANK[verdict] for verdict in verdicts)


@pytest.mark.parametrize("value", [10**400, -(10**400), 10**5000, [0], {}, object(), 1j, (1,)], ids=range(8))
def test_a_value_that_no_fact_can_have_is_missing_and_no_crash(value: Any) -> None:
    policy = make_policy(make_rule("r", "gate.net", at_least=0))
    judgement = judge(policy, "promotion", {"gate.net": value, "bench.tasks": value})
    assert judgement.verdict == Verdict.INCONCLUSIVE
    assert judgement.rules[0].result == "missing"
    assert judgement.evidence == {"gate.net": None, "bench.tasks": None}


def test_half_a_character_is_written_down_as_its_escape() -> None:
    policy = make_policy(make_rule("r", "recipe.mix", phase="proposal", equals="poison"))
    judgement = judge(policy, "proposal", {"recipe.mix": "\ud800", "\udfff": ("\ud800",)})
    assert judgement.verdict == Verdict.INVALID
    assert judgement.evidence == {"recipe.mix": "\\ud800", "\\udfff": ("\\ud800",)}


def test_a_fact_past_every_double_against_a_bound_near_it_has_no_margin_and_a_verdict() -> None:
    policy = make_policy(make_rule("r", "training.anchor_loss_rise", phase="training", at_least=-1.7e308))
    result = judge(policy, "training", {"training.anchor_loss_rise": 10**308}).rules[0]
    assert (result.result, result.margin) == ("passed", None)
