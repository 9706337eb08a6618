"""Past decisions judged again: nothing flips by itself, and what was not recorded is never guessed."""

from __future__ import annotations

from typing import Any

import pytest
from builders import NOON, make_decision, make_policy, make_rule
from hypothesis import given
from hypothesis import strategies as st
from strategies import evidence, phases, policies

from autosurgeon.audit.recorded import Recorded, recorded_decision
from autosurgeon.audit.replay import REFUSALS, Replayed, Replayer, Summary
from autosurgeon.core.decision import Decision, Evidence, Override, Phase, Verdict
from autosurgeon.core.digest import canonical_json
from autosurgeon.policy.judge import judge
from autosurgeon.policy.schema import Policy

BENCH: Evidence = {
    "bench.tasks": 9,
    "bench.fallbacks": 0,
    "bench.foreign": 0,
    "bench.same_conditions": True,
}
"""What evidence of a promotion holds if it is any."""


def written(policy: Policy, phase: Phase, facts: Evidence, **changes: Any) -> Recorded:
    """A decision by real code, as its line of the log reads back."""
    decision = make_decision(judgement=judge(policy, phase, facts), **changes)
    return recorded_decision(Decision.model_validate_json(canonical_json(decision.record()).encode("utf-8")))


def replayed(facts: Evidence, *rules: dict[str, Any], before: Verdict | None = Verdict.ACCEPT) -> Replayed:
    one = Recorded("d-1", NOON, "promotion", BENCH | facts, before, "")
    return Replayer(make_policy(*rules)).replay(one)


@given(phases.flatmap(lambda phase: st.tuples(st.just(phase), policies(phase), evidence(odd=False))))
def test_the_policy_that_decided_flips_nothing(case: tuple[Phase, Policy, Evidence]) -> None:
    phase, policy, facts = case
    replay_result = Replayer(policy).replay(written(policy, phase, facts))
    assert not replay_result.flipped
    assert replay_result.after in (replay_result.before, None)
    assert (replay_result.after is None) == (bool(replay_result.unrecorded) and replay_result.before not in REFUSALS)


@given(phases.flatmap(lambda phase: st.tuples(st.just(phase), policies(phase), policies(phase), evidence(odd=True))))
def test_another_policy_flips_what_it_judges_otherwise_and_nothing_else(
    case: tuple[Phase, Policy, Policy, Evidence],
) -> None:
    phase, old, new, facts = case
    replay_result = Replayer(new).replay(written(old, phase, facts))
    if replay_result.after is not None:
        assert replay_result.after == judge(new, phase, facts).verdict
        assert replay_result.flipped == (replay_result.after != replay_result.before)
    else:
        assert not replay_result.flipped
        assert replay_result.unrecorded


def test_a_flip_tells_the_first_rule_that_decides_its_lesson_and_the_others() -> None:
    rules = [make_rule("a", "gate.net", at_least=2), make_rule("b", "gate.lost", at_most=0, lesson="no")]
    replay_result = replayed({"gate.net": 2, "gate.lost": 3}, *rules, make_rule("c", "gate.lost", at_most=1))
    assert (replay_result.before, replay_result.after, replay_result.flipped) == (Verdict.ACCEPT, Verdict.REJECT, True)
    assert (replay_result.rule, replay_result.reason, replay_result.lesson) == (
        "b",
        "gate.lost is 3, wanted at_most 0",
        "no",
    )
    assert replay_result.also == ("c",)


def test_a_fact_that_was_not_recorded_makes_a_decision_that_cannot_be_replayed() -> None:
    replay_result = replayed(
        {"gate.lost": 0}, make_rule("a", "gate.net", at_least=2), make_rule("b", "gate.lost", at_most=0)
    )
    assert (replay_result.after, replay_result.flipped) == (None, False)
    assert (replay_result.silent, replay_result.unrecorded) == (("a",), ("gate.net",))
    assert replay_result.as_recorded == Verdict.ACCEPT
    assert replay_result.outcome == "ACCEPT, as far as recorded"


def test_a_fact_that_was_recorded_as_null_was_measured_as_missing() -> None:
    replay_result = replayed({"gate.net": None}, make_rule("a", "gate.net", at_least=2))
    assert (replay_result.after, replay_result.rule, replay_result.unrecorded) == (Verdict.INCONCLUSIVE, "a", ())


def test_a_refusal_stands_whatever_was_not_recorded() -> None:
    replay_result = replayed(
        {"gate.lost": 1}, make_rule("a", "gate.net", at_least=2), make_rule("b", "gate.lost", at_most=0)
    )
    assert (replay_result.after, replay_result.flipped, replay_result.rule) == (Verdict.REJECT, True, "b")
    assert replay_result.unrecorded == ("gate.net",)


def test_a_doubt_does_not_stand_where_a_fact_was_not_recorded() -> None:
    rules = [make_rule("a", "gate.net", at_least=2), make_rule("b", "gate.lost", at_most=0, otherwise="hold")]
    replay_result = replayed({"gate.lost": 1}, *rules)
    assert (replay_result.after, replay_result.as_recorded, replay_result.rule) == (None, Verdict.INCONCLUSIVE, "b")


def test_evidence_of_a_newer_version_is_named_and_not_judged() -> None:
    replay_result = replayed({"gate.net": 3, "gate.mood": 1}, make_rule("a", "gate.net", at_least=2))
    assert (replay_result.after, replay_result.unrecorded) == (None, ("gate.mood",))


def test_what_makes_evidence_evidence_has_to_be_recorded_too() -> None:
    one = Recorded("d-1", NOON, "promotion", {"gate.net": 3}, Verdict.ACCEPT, "")
    replay_result = Replayer(make_policy(make_rule("a", "gate.net", at_least=2))).replay(one)
    assert (replay_result.after, set(replay_result.unrecorded)) == (None, set(BENCH))


@pytest.mark.parametrize(
    ("facts", "after", "unrecorded"),
    [
        ({"data.rows": 501}, "ACCEPT", ()),  # the rule is silent, whatever its own fact was
        ({"data.rows": 500}, None, ("recipe.rank",)),
        ({"data.rows": None}, "INCONCLUSIVE", ()),
        ({"data.rows": None, "recipe.rank": 4}, "INCONCLUSIVE", ()),
        ({"recipe.rank": 4}, None, ("data.rows",)),
        ({}, None, ("data.rows", "recipe.rank")),
    ],
)
def test_a_condition_counts_as_it_was_recorded(facts: Evidence, after: str | None, unrecorded: tuple[str, ...]) -> None:
    rule = make_rule("a", "recipe.rank", at_most=8, when={"fact": "data.rows", "at_most": 500})
    replay_result = replayed(facts, rule)
    assert (replay_result.after, replay_result.unrecorded) == (after, unrecorded)


@pytest.mark.parametrize(
    ("facts", "after", "silent"),
    [
        ({"gate.net": 1, "gate.lost": 0}, "ACCEPT", ()),
        ({"gate.net": 1}, None, ("a#2",)),
        ({"gate.net": 0}, "REJECT", ("a#2",)),
        ({"gate.net": None}, "INCONCLUSIVE", ()),
        ({"gate.lost": None}, None, ("a#1",)),
        ({}, None, ("a#1", "a#2")),
    ],
)
def test_each_clause_of_an_expression_counts_alone(facts: Evidence, after: str | None, silent: tuple[str, ...]) -> None:
    rule = {"id": "a", "phase": "promotion", "expr": "gate.net >= 1 && gate.lost + gate.net < 5"}
    replay_result = replayed(facts, rule | {"otherwise": "reject", "lesson": "because"})
    assert (replay_result.after, replay_result.silent) == (after, silent)


def test_what_binds_nobody_needs_no_facts() -> None:
    rules = [make_rule("a", "gate.net", at_least=2, mode="audit"), make_rule("b", "gate.net", at_least=2)]
    assert replayed({}, rules[0], rules[1] | {"otherwise": "warn"}).after == Verdict.ACCEPT


def test_an_override_and_a_revert_by_hand_are_told_and_not_judged() -> None:
    override = Override(by="ann", reason="seen", expires_at=NOON, overrules="d-0", verdict="ACCEPT")
    replayer = Replayer(make_policy(make_rule("a", "gate.net", at_least=2)))
    summary = Summary()
    for decision in (make_decision(action="override", override=override), make_decision(action="revert")):
        replay_result = replayer.replay(recorded_decision(decision))
        assert (replay_result.outcome, replay_result.after, replay_result.flipped) == ("not judged", None, False)
        assert "because" in replay_result.note
        summary = summary.after(replay_result)
    assert summary == Summary(decisions=2, flips=0, unreplayable=0, unjudged=2)
