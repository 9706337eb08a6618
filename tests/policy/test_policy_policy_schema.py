"""The JSON Schema of a policy file against the files and the models."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from autosurgeon.config import shipped
from autosurgeon.policy.facts import FACTS
from autosurgeon.policy.policy_schema import DIALECT, policy_schema
from autosurgeon.policy.schema import TOP_KEYS, Rule

SCHEMA = policy_schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def bd62() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(shipped("policies", "bd62.yaml").read_text(encoding="utf-8"))
    return content


def test_it_is_a_schema_of_its_draft_and_the_default_policy_fits() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == DIALECT
    VALIDATOR.validate(bd62())


@pytest.mark.parametrize(
    "change",
    [
        {"atmost": 1},
        {"fact": "recipe.mixx"},
        {"at_most": 3},
        {"lesson": ""},
        {"mode": "off"},
        {"severity": "huge"},
        {"id": "No"},
        {"when": {"fact": "data.rows"}},
        {"expr": 5},
        {"disabled": False},
    ],
)
def test_a_wrong_key_or_value_fails(change: dict[str, Any]) -> None:
    content = bd62()
    content["rules"][0] |= change
    assert not VALIDATOR.is_valid(content)


@pytest.mark.parametrize("change", [{"rulez": []}, {"schema": "autosurgeon.policy/2"}, {"params": {"a": 1}}])
def test_a_wrong_top_fails(change: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(bd62() | change)
    assert not VALIDATOR.is_valid({"schema": "autosurgeon.policy/1", "name": "x"})


def test_parameters_expressions_and_includes_fit() -> None:
    content = bd62() | {"params": {"gain": {"default": 1, "description": "x"}}}
    content["rules"][1]["at_most"] = "$gain"
    content["rules"].append({"id": "e", "phase": "smoke", "expr": "true", "otherwise": "hold", "lesson": "Because."})
    VALIDATOR.validate(content)
    mine = {"schema": "autosurgeon.policy/1", "name": "x", "include": ["bd62.yaml"]}
    VALIDATOR.validate(mine | {"rules": [{"id": "real-gain", "at_least": 2}, {"id": "stop-earlier", "disabled": True}]})
    assert not VALIDATOR.is_valid(mine | {"rules": [{"at_least": 2}]})


def test_every_fact_and_every_key_is_described() -> None:
    rule = SCHEMA["$defs"]["Rule"]["properties"]
    assert rule["fact"]["enum"] == [fact.name for fact in FACTS]
    assert all(
        fact.sentence in described for fact, described in zip(FACTS, rule["fact"]["enumDescriptions"], strict=True)
    )
    assert rule.keys() == {*Rule.model_fields, "disabled"}
    assert SCHEMA["properties"].keys() == set(TOP_KEYS)
    for definition in (SCHEMA, *SCHEMA["$defs"].values()):
        assert all(field.get("description") for field in definition["properties"].values())
