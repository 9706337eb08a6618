"""An obstacle is a proof: where one is found, no evidence within what is known is accepted."""

from __future__ import annotations

from builders import make_policy, make_rule
from hypothesis import given
from hypothesis import strategies as st
from small_policies import evidence, policies

from autosurgeon.core.decision import Evidence, Verdict
from autosurgeon.policy.judge import judge
from autosurgeon.policy.obstacles import Known, obstacles
from autosurgeon.policy.schema import Policy


def known(fact: str, **limits: object) -> Known:
    return Known(fact, f"words of {fact}", "a remedy", **limits)  # type: ignore[arg-type]


@given(policies(), st.data())
def test_no_evidence_that_is_accepted_lies_behind_an_obstacle(policy: Policy, data: st.DataObject) -> None:
    for phase in ("proposal", "smoke", "promotion", "watch"):
        found: Evidence = data.draw(evidence(phase))
        some = data.draw(st.sets(st.sampled_from(sorted(found))))
        facts = [
            known(name, missing=True)
            if found[name] is None
            else known(name, least=found[name], most=found[name])
            if type(found[name]) in (int, float)
            else known(name, equals=found[name])
            for name in sorted(some)
            if not isinstance(found[name], tuple)
        ]
        reported = [one for one in obstacles(policy, facts) if one.phase == phase]
        if judge(policy, phase, found).verdict == Verdict.ACCEPT:
            assert reported == []


def test_rules_that_only_together_cannot_be_met_are_named_together() -> None:
    policy = make_policy(
        make_rule("wide", "recipe.rank", phase="proposal", at_least=16, when={"fact": "data.rows", "at_most": 500}),
        make_rule("narrow", "recipe.rank", phase="proposal", at_most=8),
        make_rule("other", "recipe.epochs", phase="proposal", at_most=8),
    )
    assert obstacles(policy, [known("data.rows", least=0, most=501), known("recipe.epochs", most=9)]) == ()
    (found,) = obstacles(policy, [known("recipe.epochs", most=9), known("data.rows", least=0, most=500)])
    assert (found.phase, set(found.rules), found.words) == ("proposal", {"wide", "narrow"}, "words of data.rows")


def test_a_missing_condition_is_an_obstacle_and_one_that_does_not_hold_is_none() -> None:
    policy = make_policy(make_rule("r", "gate.lost", at_most=0, when={"fact": "gate.net", "at_least": 1}))
    assert obstacles(policy, [known("gate.net", missing=True)]) != ()
    assert obstacles(policy, [known("gate.net", least=-3, most=0), known("gate.lost", least=1, most=9)]) == ()


def test_rules_that_do_not_bind_are_no_obstacle() -> None:
    rule = make_rule("r", "gate.net", at_least=1)
    facts = [known("gate.net", missing=True)]
    assert obstacles(make_policy(rule), facts) != ()
    for changes in ({"mode": "audit"}, {"otherwise": "warn"}):
        assert obstacles(make_policy(rule | changes), facts) == ()
