"""Reading a policy: YAML in, a Policy out, or one line that says what is wrong and on which line of the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from autosurgeon.core.decision import PHASES
from autosurgeon.errors import PolicyError, nearest
from autosurgeon.policy.schema import Policy, Rule

MAX_POLICY_BYTES = 1 << 20


def load_policy(path: Path) -> Policy:
    """The policy of a file; PolicyError for anything that it should not say."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise PolicyError("a policy cannot be read", got=error.strerror, where=path) from error
    if len(raw) > MAX_POLICY_BYTES:
        raise PolicyError("a policy is too large", got=f"{len(raw)} bytes", wanted=f"{MAX_POLICY_BYTES}", where=path)
    try:
        text = raw.decode("utf-8")
        root = yaml.compose(text, yaml.SafeLoader)
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a number of 5000 digits is a ValueError
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else path
        raise PolicyError("a policy is not YAML", got=getattr(error, "problem", None) or error, where=where) from error
    if not isinstance(content, dict) or root is None:
        raise PolicyError("a policy is a mapping", got=type(content).__name__, where=path)
    _refuse_duplicates(root, path, set())
    try:
        policy = Policy.model_validate(content)
    except ValidationError as error:
        raise _explain(error, root, path) from error
    _check_whole(policy, path)
    return policy


def _refuse_duplicates(node: Any, path: Path, visited: set[int]) -> None:
    """YAML keeps the last of two equal keys in silence; here the second one is an error."""
    if id(node) in visited:  # an alias: walked before, and perhaps around in a circle
        return
    visited.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                where = f"{path}:{key.start_mark.line + 1}"
                raise PolicyError("a key stands twice", got=repr(key.value), where=where)
            seen.add(key.value)
            _refuse_duplicates(value, path, visited)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicates(item, path, visited)


def _line(root: Any, location: Sequence[int | str]) -> int:
    """The line of the deepest part of `location` that the file has."""
    node, line = root, root.start_mark.line
    for step in location:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line
        elif isinstance(node, yaml.MappingNode):
            match = [(key, value) for key, value in node.value if key.value == step]
            if not match:
                break
            line, node = match[0][0].start_mark.line, match[0][1]
        else:
            break
    return int(line) + 1


def _explain(error: ValidationError, root: Any, path: Path) -> PolicyError:
    first = error.errors()[0]
    location = first["loc"]
    if first["type"] == "expr":  # checked when the whole policy is known, and told for its own line
        location = ("rules", first["ctx"]["rule"], "expr")
    key = str(location[-1]) if location else ""
    where = f"{path}:{_line(root, location)}"
    if first["type"] == "extra_forbidden":
        fields = Rule.model_fields if location[0] == "rules" else ("schema", "name", "description", "rules")
        return PolicyError(f"unknown key {key!r} in a policy", wanted=nearest(key, fields), where=where)
    if first["type"] == "missing":
        return PolicyError(f"a policy lacks {key!r}", where=where)
    message = first["msg"].removeprefix("Value error, ")
    return PolicyError(
        f"{key}: {message}" if key and first["type"] not in ("value_error", "expr") else message, where=where
    )


def _check_whole(policy: Policy, path: Path) -> None:
    """What no single rule shows: ids that stand twice, phases in which nothing binding is said."""
    ids = [rule.id for rule in policy.rules]
    twice = sorted({rule_id for rule_id in ids if ids.count(rule_id) > 1})
    if twice:
        raise PolicyError("two rules have one id", got=twice[0], where=path)
    for phase in PHASES:
        if not any(
            rule.phase == phase and rule.mode == "enforce" and rule.otherwise not in ("warn", "stop")
            for rule in policy.rules
        ):
            raise PolicyError(
                f"a policy has no binding rule for phase {phase!r}, so nothing would guard it",
                wanted="at least one rule in mode enforce for each of " + ", ".join(PHASES),
                where=path,
            )
