"""The self-test of a gate before each pass."""

from __future__ import annotations

import pytest
from builders import make_policy, make_results, make_rule

from autosurgeon.config import shipped
from autosurgeon.core.decision import PHASES, Phase, Verdict
from autosurgeon.policy.acceptance import find_accepted, wrongly_refused
from autosurgeon.policy.evidence import selftest_facts
from autosurgeon.policy.findings import find
from autosurgeon.policy.gate_selftest import self_test
from autosurgeon.policy.judge import judge
from autosurgeon.policy.load import load_policy
from autosurgeon.policy.promotion import Comparison
from autosurgeon.policy.rules import Check
from autosurgeon.policy.schema import Policy

SHIPPED = [load_policy(shipped("policies", f"{name}.yaml")) for name in ("bd62", "strict", "permissive")]


@pytest.mark.parametrize("policy", SHIPPED, ids=lambda policy: policy.name)
def test_every_shipped_policy_passes_its_self_test(policy: Policy) -> None:
    assert self_test(policy, {}) == ()


def test_a_gate_that_accepts_everything_is_found_out() -> None:
    failed = self_test(make_policy(make_rule("yes", "bench.tasks", at_least=0)), {})
    assert [line.split(",")[0] for line in failed] == [
        "the record of the incident's pack",
        "live held against itself was accepted as a gain",
    ]


def test_a_gate_whose_rules_only_watch_is_found_out() -> None:
    assert self_test(SHIPPED[0].in_audit(watch=False), {}) != ()


def test_a_gate_that_lets_a_draw_pass_is_found_out_on_lives_own_record() -> None:
    results = make_results({"b/0": True, "b/1": False})
    live = Comparison(dict.fromkeys(results, "gate"), list(results), results, results, results, ["b/0"])
    draw = make_policy(make_rule("draw", "gate.net", at_least=0))
    assert self_test(draw, {}, live) == ("live held against itself was accepted as a gain",)


def test_a_gate_without_rules_fails_its_self_test() -> None:
    (failed,) = self_test(make_policy(make_rule("x", "smoke.lost", phase="smoke", at_most=0)), {})
    assert "INCONCLUSIVE" in failed


def test_a_gate_that_refuses_what_its_own_rules_accept_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = SHIPPED[0]
    found = {phase: find_accepted(policy, phase) for phase in PHASES}
    assert wrongly_refused(policy) == ()
    monkeypatch.setattr("autosurgeon.policy.acceptance.find_accepted", lambda policy, phase: found[phase])
    monkeypatch.setattr("autosurgeon.policy.judge.check", lambda bounded, evidence: Check(None, None, None))
    failed = [line for line in self_test(policy, {}) if line.startswith("evidence that the rules of phase")]
    assert any("phase promotion accept came to INCONCLUSIVE" in line for line in failed)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("policy", SHIPPED, ids=lambda policy: policy.name)
def test_every_phase_of_a_shipped_policy_accepts_some_evidence(policy: Policy, phase: Phase) -> None:
    accepted = find_accepted(policy, phase).evidence
    assert accepted is not None
    assert judge(policy, phase, accepted).verdict == Verdict.ACCEPT


def test_a_phase_for_which_no_accepted_evidence_is_found_is_a_finding_by_name_and_no_false_alarm() -> None:
    expr = "data.rows * data.rows - 7.0 * data.rows == 1234567.0 && data.near_hits == 987654.0 * data.rows"
    odd = {"id": "odd", "phase": "proposal", "expr": expr, "otherwise": "hold", "lesson": "because"}
    policy = make_policy(odd, make_rule("g", "gate.net", at_least=1))
    (finding,) = [finding for finding in find(policy) if finding.kind == "unproven"]
    assert (finding.level, finding.rule_id) == ("warning", "odd")
    assert "no evidence was found that phase 'proposal' accepts, nor a proof that there is none" in finding.message
    assert not [line for line in self_test(policy, {}) if "proposal" in line]


def test_a_phase_that_accepts_only_what_is_no_evidence_is_refused() -> None:
    policy = make_policy(make_rule("none", "bench.tasks", at_most=0), make_rule("g", "gate.net", at_least=1))
    assert [(f.level, f.kind) for f in find(policy) if f.level == "error"] == [("error", "contradictory")]


def test_a_failed_self_test_makes_the_proposal_invalid_and_names_what_failed() -> None:
    judgement = judge(SHIPPED[0], "proposal", selftest_facts(["live held against itself was accepted as a gain"]))
    assert judgement.verdict == Verdict.INVALID
    assert judgement.reason == (
        "valid-gate: selftest.failed is 1, wanted at_most 0: live held against itself was accepted as a gain"
    )
