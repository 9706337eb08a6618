from __future__ import annotations

import json
import math

import pytest
from builders import make_decision
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.core.decision import Decision, FactValue, Judgement, RuleResult, Verdict, worst
from autosurgeon.core.digest import canonical_json

ORDER = ["INVALID", "ERROR", "REJECT", "INCONCLUSIVE", "ACCEPT"]
FACTS: st.SearchStrategy[FactValue] = (
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text() | st.lists(st.text()).map(tuple)
)


def result(rule_id: str, outcome: str, mode: str = "enforce") -> RuleResult:
    return RuleResult.model_validate(
        {
            "rule_id": rule_id,
            "result": outcome,
            "fact": "gate.net",
            "observed": 0,
            "bound": "at_least 1",
            "margin": -1.0,
            "otherwise": "reject",
            "mode": mode,
            "lesson": "because",
        }
    )


@given(st.lists(st.sampled_from(Verdict), min_size=1))
def test_the_worst_verdict_is_the_first_in_the_order_of_the_design(verdicts: list[Verdict]) -> None:
    assert worst(verdicts) == min((v.value for v in verdicts), key=ORDER.index)


def test_acceptance_needs_every_verdict_to_accept() -> None:
    for verdict in Verdict:
        assert (worst([Verdict.ACCEPT, verdict]) == Verdict.ACCEPT) == (verdict == Verdict.ACCEPT)


def test_a_judgement_names_the_rules_that_failed_or_had_no_fact() -> None:
    judgement = Judgement(
        phase="promotion",
        verdict=Verdict.REJECT,
        rules=(
            result("fine", "passed"),
            result("bad", "failed"),
            result("blind", "missing"),
            result("idle", "skipped"),
            result("watched", "failed", "audit"),
        ),
        evidence={},
        policy="p",
        policy_digest="d",
        reason="",
    )
    assert [rule.rule_id for rule in judgement.broken()] == ["bad", "blind", "watched"]
    assert [rule.rule_id for rule in judgement.broken(mode="audit")] == ["watched"]


@given(st.dictionaries(st.sampled_from(["training.loss", "training.steps", "x"]), FACTS))
def test_every_judgement_survives_a_round_trip_through_json(evidence: dict[str, FactValue]) -> None:
    decision = make_decision(evidence=evidence)
    line = canonical_json(decision.record())
    assert Decision.model_validate_json(line) == decision


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf, -1.7e308, 1.7e308])
def test_a_decision_with_an_extreme_loss_can_be_logged(loss: float) -> None:
    record = json.loads(canonical_json(make_decision(evidence={"training.loss": loss}).record()))
    # A loss below zero is impossible evidence; one that is not finite is a missing fact of the rule.
    wanted = "valid-evidence" if math.isfinite(loss) and loss < 0 else "loss"
    assert record["judgement"]["rules"][0]["rule_id"] == wanted
