from __future__ import annotations

from typing import Any

import pytest
from builders import make_policy, make_rule

from autosurgeon.core.decision import Cost, Evidence, Judgement
from autosurgeon.loop.decide.feedback import feedback_of, share_spent, violations
from autosurgeon.policy.judge import judge


def judged(evidence: Evidence, *rules: dict[str, Any], phase: Any = "training") -> Judgement:
    return judge(make_policy(*rules), phase, evidence)


@pytest.mark.parametrize(
    ("fact", "bound", "seen", "size"),
    [
        ("recipe.epochs", {"at_most": 2}, 4, 1.0),
        ("recipe.lr_ratio", {"at_most": 1.0}, 1.5, 0.5),
        ("recipe.parameters_per_row", {"at_most": 20000}, 28000, 0.4),
        ("data.poison_rows", {"at_least": 100}, 50, 0.5),
        ("data.mastered_rows", {"at_most": 0}, 7, 7.0),
        ("recipe.mix", {"equals": "poison"}, "union", 1.0),
        ("recipe.epochs", {"at_most": 2}, None, 1.0),
    ],
)
def test_an_objection_is_reported_with_its_size_in_parts_of_its_bound(
    fact: str, bound: dict[str, Any], seen: Any, size: float
) -> None:
    refusal = judged({fact: seen}, make_rule("r", fact, phase="proposal", **bound), phase="proposal")
    assert violations(refusal) == {"r": pytest.approx(size)}


def test_what_only_watches_or_holds_is_no_violation() -> None:
    watching = make_rule("a", "gate.net", at_least=1, mode="audit")
    holding = make_rule("h", "gate.net", at_least=1, otherwise="hold")
    assert violations(judged({"gate.net": -3}, watching, holding, phase="promotion")) == {}


def test_a_training_that_ended_without_a_number_is_its_recipes_fault() -> None:
    rule = make_rule("numbers", "training.loss", phase="training", at_least=0, otherwise="hold")
    assert violations(judged({"training.loss": float("nan")}, rule)) == {"numbers": 1.0}


STOP = make_rule("floor", "training.loss_fraction", phase="training", at_least=0.7, otherwise="stop")


def test_a_stop_counts_against_a_pass_that_is_refused_and_not_against_one_that_goes_on() -> None:
    training = judged({"training.loss_fraction": 0.6}, STOP)
    smoked = make_rule("kept", "smoke.lost", phase="smoke", at_most=0)
    assert violations(training) == {}
    assert violations(judged({"smoke.lost": 0}, smoked, phase="smoke"), training) == {}
    refused = violations(judged({"smoke.lost": 2}, smoked, phase="smoke"), training)
    assert refused == {"kept": 2.0, "floor": pytest.approx(0.1)}


def test_a_refusal_is_reported_with_the_share_of_a_whole_passs_tokens_that_it_took() -> None:
    smoke = judged({"smoke.lost": 2}, make_rule("kept", "smoke.lost", phase="smoke", at_most=0), phase="smoke")
    spent, rest = Cost(trained_tokens=300, generated_tokens=100), Cost(generated_tokens=1200)
    assert share_spent(spent, rest, smoke) == 0.25
    assert share_spent(Cost(), Cost(), smoke) == 0.0
    assert share_spent(spent, None, smoke) is None
    assert feedback_of(smoke, None, {"cost": spent, "avoided": rest})["spent_share"] == 0.25
    passed = judged({"smoke.lost": 0}, make_rule("kept", "smoke.lost", phase="smoke", at_most=0), phase="smoke")
    assert feedback_of(passed, None, {"cost": spent, "avoided": rest}) == {"violations": {}, "spent_share": None}
