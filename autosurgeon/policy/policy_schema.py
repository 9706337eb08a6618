"""The JSON Schema of a policy file, for editors: from the models, plus what only the reader of files accepts."""

from __future__ import annotations

from typing import Any

from autosurgeon.policy.facts import FACTS
from autosurgeon.policy.schema import BOUNDS, Policy

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PARAMETER = {"type": "string", "pattern": r"^\$[a-z][a-z0-9_]*$", "description": "A parameter, by name."}


def policy_schema() -> dict[str, Any]:
    """The schema. Where a policy includes others, its rules may be fields that change an included rule."""
    schema: dict[str, Any] = _without_null(Policy.model_json_schema(by_alias=True))
    definitions = schema["$defs"]
    for name in ("Rule", "When"):
        properties = definitions[name]["properties"]
        properties["fact"] |= {
            "enum": [fact.name for fact in FACTS],
            "enumDescriptions": [f"{f.sentence} ({f.type}, {f.unit}; {f.phase})" for f in FACTS],
        }
        properties["fact"].pop("default", None)
        for bound in BOUNDS:
            _allow_parameters(properties[bound])
    one_bound = [{"required": ["fact", bound]} for bound in BOUNDS]
    definitions["When"]["oneOf"] = one_bound
    rule = definitions["Rule"]
    whole = [key for key in rule["required"] if key != "id"]
    rule["required"] = ["id"]
    rule["properties"]["disabled"] = {"const": True, "description": "Takes out the included rule of this id."}
    schema["properties"]["include"] = {
        "type": "array",
        "items": {"type": "string", "minLength": 1},
        "description": "Policies whose rules come first, by path relative to this file.",
    }
    schema["required"] = ["schema", "name"]
    schema["if"] = {"required": ["include"]}
    schema["else"] = {
        "required": ["rules"],
        "properties": {"rules": {"items": {"required": whole, "oneOf": [*one_bound, {"required": ["expr"]}]}}},
    }
    return {"$schema": DIALECT} | schema


def _without_null(node: Any) -> Any:
    """Drop the models' `or null`: a file leaves a key out instead."""
    if isinstance(node, list):
        return [_without_null(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: _without_null(value) for key, value in node.items() if not (key == "default" and value is None)}
    choices = made.get("anyOf", [])
    left = [choice for choice in choices if choice != {"type": "null"}]
    if len(left) < len(choices):
        del made["anyOf"]
        made = left[0] | made if len(left) == 1 else made | {"anyOf": left}
    return made


def _allow_parameters(bound: dict[str, Any]) -> None:
    """Allow a parameter's name in place of a number; a text allows it anyway."""
    if bound.get("type") != "array" and {"type": "string"} not in bound["anyOf"]:
        bound["anyOf"].append(PARAMETER)
