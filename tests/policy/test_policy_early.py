"""What a policy may refuse before all is known, and what it has to wait for."""

from __future__ import annotations

import pytest
from builders import make_policy, make_rule

from autosurgeon.config import shipped
from autosurgeon.policy.early import most_lost, refuses_early
from autosurgeon.policy.load import load_policy

POLICY = load_policy(shipped("policies", "bd62.yaml"))
EXPRESSION = {"id": "e", "phase": "promotion", "otherwise": "reject", "lesson": "because"}


def test_the_shipped_policy_ends_a_bench_once_a_loss_is_beyond_doubt() -> None:
    assert refuses_early(POLICY, {"gate.e_regression": 10.0, "budget.alpha": 0.03}) is None
    rule = refuses_early(POLICY, {"gate.e_regression": 40.0, "budget.alpha": 0.03})
    assert rule is not None
    assert rule.rule_id == "losing-beyond-doubt#1"


@pytest.mark.parametrize(
    "changes",
    [{"mode": "audit"}, {"otherwise": "warn"}, {"when": {"fact": "gate.tasks", "at_least": 1}}],
)
def test_a_rule_that_does_not_bind_or_needs_all_of_the_bench_ends_nothing(changes: dict[str, object]) -> None:
    rule = make_rule("e", "gate.e_regression", at_most=1) | changes
    assert refuses_early(make_policy(rule), {"gate.e_regression": 9.0, "gate.tasks": 5}) is None


def test_a_rule_on_totals_waits_for_them() -> None:
    assert refuses_early(make_policy(make_rule("net", "gate.net", at_least=1)), {"gate.net": -9}) is None
    mixed = EXPRESSION | {"expr": "gate.e_regression < 2.0 && gate.net >= 0"}
    assert refuses_early(make_policy(mixed), {"gate.e_regression": 9.0}) is None


def test_what_is_known_before_the_bench_may_be_part_of_it() -> None:
    rule = make_rule("e", "gate.e_regression", at_most=1, when={"fact": "data.rows", "at_most": 500})
    assert refuses_early(make_policy(rule), {"gate.e_regression": 9.0, "data.rows": 9}) is not None
    assert refuses_early(make_policy(rule), {"gate.e_regression": 9.0, "data.rows": 900}) is None


def test_a_missing_fact_ends_nothing_early() -> None:
    assert refuses_early(POLICY, {"gate.e_regression": 1e9}) is None


def test_a_smoke_ends_at_the_tightest_binding_bound() -> None:
    rules = [make_rule(f"r{n}", "smoke.lost", phase="smoke", at_most=n) for n in (3, 1)]
    assert most_lost(make_policy(*rules)) == 1
    assert most_lost(make_policy(rules[0], rules[1] | {"mode": "audit"})) == 3
    assert most_lost(make_policy(rules[0] | {"when": {"fact": "data.rows", "at_most": 5}})) is None
    assert most_lost(POLICY) == 0
