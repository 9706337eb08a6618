"""The incident as evidence, pass by pass, before the policy that its lessons became."""

from __future__ import annotations

import pytest

from autosurgeon.audit.recorded import Recorded, read_evidence_file
from autosurgeon.audit.replay import Replayed, Replayer
from autosurgeon.config import shipped
from autosurgeon.core.decision import PHASES, Evidence, Phase, Verdict
from autosurgeon.policy.facts import fact_of, known_at
from autosurgeon.policy.judge import REMEDY, judge
from autosurgeon.policy.load import load_policy
from autosurgeon.policy.policy_tests import evidence_of, read_cases
from autosurgeon.policy.schema import Policy, Rule

POLICY = load_policy(shipped("policies", "bd62.yaml"))
CASES = shipped("policies", "bd62_test.yaml")
GOOD: Evidence = evidence_of(read_cases(CASES)[1]["good"], CASES)
FIRST, SECOND = (read_evidence_file(shipped("data", "bd62", f"pass-{number}.yaml")) for number in (1, 2))
BITING = {  # by phase, every rule that refuses BD6.2 or stops it, each on a fact of its own
    "proposal": {
        "poison-only",
        "no-mastered-rows",
        "stop-earlier",
        "cooler-on-few-rows",
        "small-rank-on-few-rows",
        "no-leaking-target",
    },
    "training": {"loss-floor", "read-at-most-twice"},
    "smoke": {"anchor-wins-kept"},
    "promotion": {"no-anchor-lost", "no-bench-worse"},
    "watch": {"live-anchors-hold"},
}
FACT_OF = {rule.id: rule.fact for rule in POLICY.rules}
GUARDED = sorted({FACT_OF[rule] for rules in BITING.values() for rule in rules})


def biting(policy: Policy, decisions: list[Recorded]) -> dict[str, set[str]]:
    """By phase, the binding rules of the policy that what was recorded breaks."""
    found: dict[str, set[str]] = {}
    for one in decisions:
        assert one.phase is not None
        for result in judge(policy, one.phase, one.evidence).broken(mode="enforce"):
            if result.result == "failed" and result.otherwise in (*REMEDY, "stop"):
                found.setdefault(one.phase, set()).add(result.rule_id)
    return found


def ended_by(policy: Policy) -> tuple[Recorded, Replayed]:
    """The decision at which BD6.2 ends under the policy."""
    replayer = Replayer(policy)
    return next((one, replayed) for one in SECOND if (replayed := replayer.replay(one)).refuses)


def with_earlier_gates_in_audit(phase: Phase) -> Policy:
    def lenient(rule: Rule) -> Rule:
        earlier = PHASES.index(rule.phase) < PHASES.index(phase)
        return rule.model_copy(update={"mode": "audit"}) if earlier else rule

    return POLICY.model_copy(update={"rules": tuple(map(lenient, POLICY.rules))})


def test_each_phase_refuses_the_incident_by_all_the_rules_that_were_made_for_it() -> None:
    assert biting(POLICY, SECOND) == BITING


def test_the_incident_is_refused_at_proposal_by_the_data_epoch_and_capacity_rules() -> None:
    one, replayed = ended_by(POLICY)
    assert (one.phase, replayed.after) == ("proposal", Verdict.REJECT)
    assert {replayed.rule, *replayed.also} == BITING["proposal"]
    assert "union of all historical poison" in replayed.lesson


def test_without_that_gate_training_is_stopped_after_its_second_loss() -> None:
    one, replayed = ended_by(with_earlier_gates_in_audit("training"))
    assert (one.phase, replayed.rule, replayed.stops) == ("training", "loss-floor", True)
    assert (one.evidence["training.loss"], one.evidence["training.epochs"]) == (0.30, 2)
    assert "0.30 of 0.45" in replayed.lesson


def test_without_those_gates_the_smoke_aborts_the_merge_and_names_the_lost_wins() -> None:
    one, replayed = ended_by(with_earlier_gates_in_audit("smoke"))
    assert (one.phase, replayed.after, replayed.rule) == ("smoke", Verdict.REJECT, "anchor-wins-kept")
    assert "Abort the merge" in replayed.lesson
    assert "MBPP/14, MBPP/17, MBPP/20 and 8 more" in judge(POLICY, "smoke", one.evidence).reason


def test_without_those_gates_the_promotion_refuses() -> None:
    one, replayed = ended_by(with_earlier_gates_in_audit("promotion"))
    assert (one.phase, replayed.after) == ("promotion", Verdict.REJECT)
    assert {replayed.rule, *replayed.also} == BITING["promotion"]
    assert "No confirmed win is for sale" in replayed.lesson


def test_without_any_other_gate_the_watch_reverts() -> None:
    one, replayed = ended_by(with_earlier_gates_in_audit("watch"))
    assert (one.phase, replayed.after, replayed.rule) == ("watch", Verdict.REJECT, "live-anchors-hold")
    assert next(rule.otherwise for rule in POLICY.rules if rule.id == replayed.rule) == "revert"
    assert "must win in production too" in replayed.lesson


@pytest.mark.parametrize("fact", GUARDED)
def test_a_copy_of_the_incident_with_one_guarded_fact_repaired_is_refused_by_all_the_others(fact: str) -> None:
    repaired = [
        one._replace(evidence=one.evidence | ({fact: GOOD[fact]} if fact in one.evidence else {})) for one in SECOND
    ]
    others = {phase: {rule for rule in rules if FACT_OF[rule] != fact} for phase, rules in BITING.items()}
    assert biting(POLICY, repaired) == {phase: rules for phase, rules in others.items() if rules}
    refusing = [replayed for replayed in map(Replayer(POLICY).replay, repaired) if replayed.refuses]
    assert len({replayed.phase for replayed in refusing}) >= len(BITING) - 1
    assert all(replayed.lesson for replayed in refusing)


def test_the_pass_that_was_kept_is_accepted_as_far_as_it_was_recorded() -> None:
    (replayed,) = map(Replayer(POLICY).replay, FIRST)
    assert (replayed.after, replayed.as_recorded) == (None, Verdict.ACCEPT)
    assert {"real-gain", "no-anchor-lost"} <= set(replayed.silent)
    assert {"gate.net", "anchors.lost"} <= set(replayed.unrecorded)


@pytest.mark.parametrize("one", [*FIRST, *SECOND], ids=lambda one: one.name)
def test_every_fact_of_the_incident_is_one_that_its_phase_can_know(one: Recorded) -> None:
    assert one.phase is not None
    for name, value in one.evidence.items():
        fact = fact_of(name)
        assert fact is not None and known_at(fact, one.phase), name
        assert value is not None, f"{name}: what the report does not give is left out"


def test_the_numbers_of_the_report_add_up() -> None:
    proposal, first, promotion = SECOND[0].evidence, FIRST[0].evidence, SECOND[-2].evidence
    v1, fresh, both = 94 + 162 + 50, 87 + 158 + 50, 291
    assert proposal["data.rows"] == v1 + fresh - both == 310
    assert (proposal["data.poison_rows"], proposal["data.mastered_rows"]) == (fresh, v1 - both)
    assert proposal["data.parent_overlap"] == both
    assert proposal["data.new_rows"] == fresh - both == 4
    assert (first["total.gained"], first["total.lost"], first["total.net"]) == (v1 - both, fresh - both, 7 + 4)
    losses = [one.evidence["training.loss"] for one in SECOND if one.phase == "training"]
    fractions = [one.evidence["training.loss_fraction"] for one in SECOND if one.phase == "training"]
    assert losses == [0.45, 0.30, 0.22, 0.18]
    assert fractions == [pytest.approx(loss / 0.45, abs=5e-4) for loss in (0.45, 0.30, 0.22, 0.18)]
    names = promotion["anchors.lost_names"]
    assert isinstance(names, tuple)
    assert len(names) == len(set(names)) == promotion["anchors.lost"] == 11
    assert sum(name.startswith("MBPP/") for name in names) == 8
    assert (promotion["bench.worst_net"], promotion["total.net"]) == (6 - 13, 6 - 13 + 8 - 6)
