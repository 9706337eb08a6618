"""Load a policy from YAML; errors name the problem, the file and the line."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from autosurgeon.core.decision import PHASES
from autosurgeon.errors import PolicyError, nearest
from autosurgeon.policy.params import Overrides, set_params
from autosurgeon.policy.policy_files import MAX_POLICY_BYTES, Joined, join
from autosurgeon.policy.schema import TOP_KEYS, Param, Policy, Rule

__all__ = ["MAX_POLICY_BYTES", "check_whole", "load_policy"]
UNION_MEMBERS = ("int", "float", "bool", "str", "[key]")


def load_policy(path: Path, overrides: Overrides | None = None) -> Policy:
    """The policy of a file with its includes; PolicyError for invalid content.

    Args:
        path: the file.
        overrides: parameters by name, in place of their defaults; texts are read in the type of the default.

    """
    joined = join(path)
    set_params(joined, overrides or {})
    try:
        policy = Policy.model_validate(joined.content)
    except ValidationError as error:
        raise _explain(error, joined) from error
    check_whole(policy, path)
    return policy


def _explain(error: ValidationError, joined: Joined) -> PolicyError:
    first = error.errors()[0]
    location = first["loc"]
    if first["type"] == "expr":  # found by the validator of the whole policy, reported on the line of the rule
        location = ("rules", first["ctx"]["rule"], "expr")
    while location and location[-1] in UNION_MEMBERS:  # a member of a union is no part of the file
        location = location[:-1]
    key = str(location[-1]) if location else ""
    where = joined.where(location)
    if first["type"] == "extra_forbidden":
        fields = {"rules": Rule.model_fields, "params": Param.model_fields}.get(str(location[0]), TOP_KEYS)
        return PolicyError(f"unknown key {key!r} in a policy", wanted=nearest(key, fields), where=where)
    if first["type"] == "missing":
        return PolicyError(f"a policy lacks {key!r}", where=where)
    message = first["msg"].removeprefix("Value error, ")
    plain = first["type"] in ("value_error", "expr")
    return PolicyError(message if plain or not key else f"{key}: {message}", where=where)


def check_whole(policy: Policy, where: Path | str) -> None:
    """PolicyError for what no single rule shows: two rules of one id, a phase without a binding rule."""
    ids = [rule.id for rule in policy.rules]
    twice = sorted({rule_id for rule_id in ids if ids.count(rule_id) > 1})
    if twice:
        raise PolicyError("two rules have one id", got=twice[0], where=where)
    for phase in PHASES:
        if not any(
            rule.phase == phase and rule.mode == "enforce" and rule.otherwise not in ("warn", "stop")
            for rule in policy.rules
        ):
            raise PolicyError(
                f"a policy has no binding rule for phase {phase!r}, so nothing would guard it",
                wanted="at least one rule in mode enforce for each of " + ", ".join(PHASES),
                where=where,
            )
