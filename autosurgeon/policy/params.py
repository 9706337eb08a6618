"""Parameters of a policy: the caller's values, and the bounds that name them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from autosurgeon.core.decision import Scalar
from autosurgeon.errors import PolicyError, UserError, nearest
from autosurgeon.policy.policy_files import Joined
from autosurgeon.policy.schema import BOUNDS

Overrides = Mapping[str, Scalar]


def parse_assignments(assignments: Iterable[str]) -> dict[str, str]:
    """The `name=value` of a command line, by name; UserError for anything else and for a name set twice."""
    found: dict[str, str] = {}
    for assignment in assignments:
        name, sign, value = assignment.partition("=")
        if not sign or not name.strip():
            raise UserError("a parameter is set by name=value", got=repr(assignment))
        if name.strip() in found:
            raise UserError("a parameter is set twice", got=repr(name.strip()))
        found[name.strip()] = value.strip()
    return found


def set_params(joined: Joined, overrides: Overrides) -> None:
    """Replace the defaults by the caller's values, then each `$name` of a bound by its value."""
    params: dict[str, Any] = joined.content.get("params", {})
    for name, value in overrides.items():
        if name not in params:
            known = nearest(name, map(str, params)) if params else "none: the policy has no parameters"
            raise PolicyError(f"unknown parameter {name!r}", wanted=known, where=joined.root.path)
        params[name] = params[name] | {"default": _like(params[name].get("default"), value, name)}
    for index, rule in enumerate(joined.content.get("rules", [])):
        filled = _filled(joined, params, rule, ("rules", index))
        if isinstance(rule.get("when"), dict):
            filled["when"] = _filled(joined, params, rule["when"], ("rules", index, "when"))
        joined.content["rules"][index] = filled


def _like(default: object, value: Scalar, name: str) -> Scalar:
    """The value in the type of the default; a text from a command line is parsed."""
    wanted = "true or false" if isinstance(default, bool) else "a text" if isinstance(default, str) else "a number"
    if wanted == "true or false" and (isinstance(value, bool) or value in ("true", "false")):
        return value if isinstance(value, bool) else value == "true"
    if wanted == "a text" and isinstance(value, str):
        return value
    if wanted == "a number" and not isinstance(value, bool):
        try:
            number = float(value)
            if math.isfinite(number):
                return int(value) if number.is_integer() and not isinstance(default, float) else number
        except (ValueError, OverflowError):
            pass
    raise PolicyError(f"parameter {name!r} is {wanted}", got=repr(value))


def _filled(
    joined: Joined, params: dict[str, Any], bounded: dict[str, Any], location: tuple[int | str, ...]
) -> dict[str, Any]:
    """A copy, since YAML aliases may share one mapping between rules."""
    filled = dict(bounded)
    for bound in BOUNDS:
        given = bounded.get(bound)
        if isinstance(given, list):
            filled[bound] = [_value(joined, params, item, (*location, bound)) for item in given]
        elif given is not None:
            filled[bound] = _value(joined, params, given, (*location, bound))
    return filled


def _value(joined: Joined, params: dict[str, Any], given: object, location: tuple[int | str, ...]) -> object:
    if not isinstance(given, str) or not given.startswith("$"):
        return given
    name = given[1:]
    if name not in params:
        known = nearest(name, map(str, params)) if params else "none: the policy has no parameters"
        raise PolicyError(f"unknown parameter {name!r}", wanted=known, where=joined.where(location))
    return params[name].get("default")
