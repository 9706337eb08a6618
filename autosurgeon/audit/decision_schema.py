"""The JSON Schema of a decision record, generated from the models."""

from __future__ import annotations

import ast
import inspect
from typing import Any

from autosurgeon.core import decision
from autosurgeon.policy.policy_schema import DIALECT


def decision_schema() -> dict[str, Any]:
    """Return the schema of a line of the log; fields with a default are optional, since older versions omit them."""
    schema = decision.Decision.model_json_schema(mode="validation")
    docstrings = _field_docstrings()
    for name, model in ((decision.Decision.__name__, schema), *schema["$defs"].items()):
        for field, sentence in docstrings.get(name, {}).items():
            model["properties"][field]["description"] = sentence
    return {"$schema": DIALECT, **schema}


def _field_docstrings() -> dict[str, dict[str, str]]:
    """Docstrings by class and field, read on demand: pydantic's own setting parses the source at every start."""
    classes = [node for node in ast.parse(inspect.getsource(decision)).body if isinstance(node, ast.ClassDef)]
    return {
        node.name: {
            field.target.id: inspect.cleandoc(str(after.value.value))
            for field, after in zip(node.body, node.body[1:], strict=False)
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            if isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        }
        for node in classes
    }
