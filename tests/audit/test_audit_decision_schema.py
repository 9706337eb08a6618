"""The JSON Schema of a decision against records as they are written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from builders import make_decision
from jsonschema import Draft202012Validator

from autosurgeon.audit.decision_schema import decision_schema
from autosurgeon.core.decision import Alpha, Cost, Decision, Override
from autosurgeon.core.digest import canonical_json
from autosurgeon.policy.policy_schema import DIALECT

SCHEMA = decision_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
OVERRIDE = Override(
    by="ann", reason="seen it", expires_at="2030-01-02T00:00:00+00:00", overrules="d-1", verdict="ACCEPT"
)
DECISIONS = [
    make_decision(),
    make_decision(evidence={"training.loss": 0.5, "recipe.mix": "poison", "pack.verified": True, "gate.net": None}),
    make_decision(evidence={"smoke.lost_names": ("b/1", "b/2"), "training.loss": float("nan")}),
    make_decision(action="override", override=OVERRIDE),
    make_decision(
        evidence={},
        pass_number=3,
        live_version=2,
        pack="p",
        packs={"candidate": "p"},
        lost=("b/1",),
        alpha=Alpha(look=1, spent=0.03, left=0.02),
        cost=Cost(seconds=1.5),
        avoided=Cost(),
    ),
]


def record(decision: Decision) -> dict[str, Any]:
    """As a line of the log reads back."""
    content: dict[str, Any] = json.loads(canonical_json(decision.record()))
    return content


@pytest.mark.parametrize("decision", DECISIONS, ids=range(len(DECISIONS)))
def test_every_record_fits_the_schema(decision: Decision) -> None:
    VALIDATOR.validate(record(decision))


def test_it_is_a_schema_of_its_draft() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == DIALECT
    assert SCHEMA["title"] == "Decision"


@pytest.mark.parametrize(
    "change",
    [
        {"decision_id": None},
        {"action": "dance"},
        {"unheard": 1},
        {"judgement": {"phase": "smoke"}},
        {"live_version": "2"},
        {"lost": "b/1"},
        {"override": {"by": "ann"}},
    ],
)
def test_what_is_no_decision_does_not_fit(change: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(record(DECISIONS[1]) | change)


def test_fields_say_what_their_docstrings_say() -> None:
    assert SCHEMA["properties"]["at"]["description"] == "UTC, ISO 8601."
    assert (
        SCHEMA["$defs"]["RuleResult"]["properties"]["reason"]["description"] == "The reason for the result, in words."
    )
    assert "recorded judgement" in SCHEMA["description"]
