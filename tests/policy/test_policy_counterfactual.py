"""What would have turned a verdict: real, and nothing smaller."""

from __future__ import annotations

import math
from typing import Any

import pytest
from builders import BENCHED, make_policy, make_rule
from hypothesis import given, settings
from hypothesis import strategies as st
from small_policies import evidence, policies
from test_policy_bd62 import GOOD

from autosurgeon.config import shipped
from autosurgeon.core.decision import PHASES, Evidence, FactValue, Phase, Verdict
from autosurgeon.policy.counterfactual import Counterfactual, counterfactual, first_deciding
from autosurgeon.policy.evidence_values import constraints_of
from autosurgeon.policy.judge import judge
from autosurgeon.policy.load import load_policy
from autosurgeon.policy.schema import Policy
from autosurgeon.policy.search import how_much

BD62 = load_policy(shipped("policies", "bd62.yaml"))


def turned(phase: Phase, changes: Evidence) -> Counterfactual:
    found = counterfactual(BD62, phase, GOOD | changes)
    assert found.flipped is not None
    return found


def moved(phase: Phase, changes: Evidence) -> dict[str, FactValue]:
    return {change.fact: change.value for change in turned(phase, changes).changes}


def size(policy: Policy, phase: Phase, before: Evidence, after: Evidence) -> tuple[int, float]:
    """How many of the facts that binding rules read differ, and by how much; infinitely where one was not known."""
    read = {fact for one in constraints_of(policy, phase) for fact in one.facts}
    other = [n for n in read if (type(before.get(n)), before.get(n)) != (type(after.get(n)), after.get(n))]
    return len(other), sum(how_much(name, before.get(name), after.get(name)) for name in other)


@settings(max_examples=60, deadline=None)
@given(policies(), st.data())
def test_a_change_is_real_and_random_evidence_turns_no_verdict_with_less(policy: Policy, data: st.DataObject) -> None:
    for phase in PHASES:
        facts = data.draw(evidence(phase))
        found = counterfactual(policy, phase, facts)
        accepted = found.judgement.verdict == Verdict.ACCEPT
        assert found.smallest
        if found.flipped is not None:
            after = facts | {change.fact: change.value for change in found.changes}
            assert (judge(policy, phase, after).verdict == Verdict.ACCEPT) != accepted
            assert found.flipped == judge(policy, phase, after)
        for _ in range(3):
            other = facts | data.draw(evidence(phase))
            wanted = (judge(policy, phase, other).verdict == Verdict.ACCEPT) != accepted
            count, amount = size(policy, phase, facts, other)
            if not wanted or (accepted and (count != 1 or None in other.values())):
                continue
            assert found.flipped is not None
            least = size(policy, phase, facts, after)
            assert least[0] < count or (least[0] == count and least[1] <= amount + 1e-9)


def test_every_failing_fact_moves_just_inside_its_bound() -> None:
    assert moved("smoke", {"smoke.lost": 21}) == {"smoke.lost": 0}
    assert moved("promotion", {"gate.net": 0, "bench.worst_net": -7}) == {"gate.net": 1, "bench.worst_net": 0}
    assert moved("proposal", {"recipe.mix": "union", "recipe.epochs": 4}) == {
        "recipe.mix": "poison",
        "recipe.epochs": 2,
    }


def test_a_condition_is_left_where_that_moves_fewer_facts() -> None:
    assert moved("proposal", {"recipe.lr_ratio": 2.0, "recipe.rank": 16}) == {"data.rows": 501}
    assert moved("proposal", {"recipe.rank": 9}) == {"recipe.rank": 8}
    (change,) = turned("proposal", {"recipe.lr_ratio": 2.0, "recipe.rank": 16}).changes
    assert str(change) == (
        "data.rows: 300 -> 501 (not at_most 500, which silences cooler-on-few-rows and small-rank-on-few-rows)"
    )


@pytest.mark.parametrize("nothing", [None, math.nan])
def test_a_fact_that_is_missing_must_be_known(nothing: FactValue) -> None:
    found = turned("smoke", {"smoke.lost": nothing})
    assert [str(change) for change in found.changes] == ["smoke.lost: must be known, and at_most 0"]


def test_an_acceptance_is_turned_by_the_fact_that_has_to_move_least() -> None:
    found = turned("watch", {"watch.anchors_tried": 3})
    assert found.changes[0].wanted in (
        "canary-holds wants at_least 0",
        "live-anchors-hold wants at_most 0",
    )
    found = turned("proposal", {"data.rows": 501, "recipe.rank": 16, "recipe.lr_ratio": 0.5})
    assert str(found.changes[0]) == "data.rows: 501 -> 500 (small-rank-on-few-rows wants at_most 8)"


def test_a_value_beside_a_round_number_is_shown_by_it() -> None:
    (change,) = turned("training", {"training.epochs": 2.0}).changes
    assert str(change) == "training.epochs: 2.0 -> just above 2.0 (read-at-most-twice wants at_most 2)"


def test_a_verdict_that_no_change_flips_is_reported() -> None:
    never = make_policy(make_rule("r", "gate.lost", at_most=-1))
    found = counterfactual(never, "promotion", {"gate.lost": 0})
    assert (found.flipped, found.smallest) == (None, True)
    assert found.summary == "no change of facts would have it accepted"
    assert counterfactual(never, "smoke", {}).summary == "no change of facts would have it accepted"
    always = make_policy(make_rule("r", "smoke.lost", phase="smoke", at_least=0))
    assert counterfactual(always, "smoke", {"smoke.lost": 0}).summary == (
        "no change of one known fact would have it refused"
    )


def expression(text: str) -> dict[str, Any]:
    return {"id": "e", "phase": "promotion", "expr": text, "otherwise": "hold", "lesson": "because"}


def test_an_expression_that_needs_nothing_else_than_its_neighbours_is_no_hindrance() -> None:
    policy = make_policy(expression("gate.lost <= 2"), make_rule("r", "gate.net", at_least=1))
    found = counterfactual(policy, "promotion", BENCHED | {"gate.lost": 1, "gate.net": 0})
    assert (found.smallest, [str(change) for change in found.changes]) == (True, ["gate.net: 0 -> 1 (at_least 1)"])


def test_where_an_expression_has_to_change_what_was_tried_is_not_called_the_smallest() -> None:
    policy = make_policy(expression("gate.gained >= 2 * gate.lost"))
    found = counterfactual(policy, "promotion", {"gate.lost": 3, "gate.gained": 4})
    assert found.flipped is not None
    assert (found.smallest, found.undecided) == (False, ("e",))
    assert "perhaps not the smallest" in found.summary
    hopeless = make_policy(expression("gate.gained * gate.gained == 1234321 * 9"))
    found = counterfactual(hopeless, "promotion", {"gate.gained": 4})
    assert (found.flipped, found.smallest) == (None, False)
    assert "there may be one (because of the expression of e)" in found.summary


def test_the_first_deciding_rule_is_the_first_of_the_worst() -> None:
    judgement = judge(BD62, "promotion", GOOD | {"gate.net": 0, "anchors.lost": 1, "bench.worst_net": -1})
    assert first_deciding(judgement) == "no-anchor-lost"
    assert first_deciding(judge(BD62, "promotion", GOOD)) is None
