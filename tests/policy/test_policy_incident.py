"""The incident's own second pass, from its report, before the policy that its lessons became."""

from __future__ import annotations

import json

import pytest

from autosurgeon.config import shipped
from autosurgeon.core.decision import Phase, Verdict
from autosurgeon.policy.facts import BY_NAME
from autosurgeon.policy.judge import judge
from autosurgeon.policy.load import load_policy

EVIDENCE = json.loads(shipped("data", "bd62", "pass2.json").read_text(encoding="utf-8"))
POLICY = load_policy(shipped("policies", "bd62.yaml"))


@pytest.mark.parametrize(
    ("phase", "verdict", "rules"),
    [
        ("proposal", Verdict.REJECT, {"poison-only", "no-mastered-rows", "stop-earlier", "cooler-on-few-rows"}),
        ("training", Verdict.REJECT, {"read-at-most-twice", "loss-floor"}),
        ("smoke", Verdict.INCONCLUSIVE, {"anchor-wins-kept", "anchors-were-smoked"}),
        ("promotion", Verdict.REJECT, {"no-bench-worse"}),
    ],
)
def test_the_incident_is_refused_at_every_phase(phase: Phase, verdict: Verdict, rules: set[str]) -> None:
    judgement = judge(POLICY, phase, EVIDENCE[phase])
    assert judgement.verdict == verdict
    assert rules <= {rule.rule_id for rule in judgement.broken()}


def test_every_fact_of_the_incident_is_a_fact() -> None:
    assert {fact for facts in EVIDENCE.values() for fact in facts} <= BY_NAME.keys()
