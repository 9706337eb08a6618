"""A gate proves before each pass that it can still say no."""

from __future__ import annotations

import pytest
from builders import make_policy, make_results, make_rule

from autosurgeon.config import shipped
from autosurgeon.core.decision import Verdict
from autosurgeon.policy.evidence import selftest_facts
from autosurgeon.policy.judge import judge
from autosurgeon.policy.load import load_policy
from autosurgeon.policy.promotion import Comparison
from autosurgeon.policy.schema import Policy
from autosurgeon.policy.selftest import self_test

SHIPPED = [load_policy(shipped("policies", f"{name}.yaml")) for name in ("bd62", "strict", "permissive")]


@pytest.mark.parametrize("policy", SHIPPED, ids=lambda policy: policy.name)
def test_every_shipped_policy_passes_its_self_test(policy: Policy) -> None:
    assert self_test(policy, {}) == ()


def test_a_gate_that_always_says_yes_is_found_out() -> None:
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


def test_a_gate_with_no_rule_at_all_refuses_nothing_in_so_many_words() -> None:
    (failed,) = self_test(make_policy(make_rule("x", "smoke.lost", phase="smoke", at_most=0)), {})
    assert "INCONCLUSIVE" in failed


def test_a_failed_self_test_makes_the_proposal_invalid_and_names_what_failed() -> None:
    judgement = judge(SHIPPED[0], "proposal", selftest_facts(["live held against itself was accepted as a gain"]))
    assert judgement.verdict == Verdict.INVALID
    assert judgement.reason == (
        "valid-gate: selftest.failed is 1, wanted at_most 0: live held against itself was accepted as a gain"
    )
