"""The files of a policy: read, joined by `include`, with the line of every part for error messages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from autosurgeon.errors import PolicyError, nearest
from autosurgeon.policy.schema import BOUNDS, SCHEMA, TOP_KEYS

MAX_POLICY_BYTES = 1 << 20
MAX_INCLUDE_DEPTH = 8
MAX_FILES = 32
NUMBERS = {
    "tag:yaml.org,2002:int": (r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", "-+0123456789"),
    "tag:yaml.org,2002:float": (
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        "-+.0123456789",
    ),
}
"""The numbers of the core schema of YAML 1.2, and their first characters; the first match counts."""


class Loader(yaml.SafeLoader):
    """Plain YAML whose numbers are those of YAML 1.2: `1e-4` is one, while `1:30`, `1_000` and `0b1` are texts."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # PyYAML's own name, of an instance by its stubs
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in NUMBERS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """A whole number in decimal, or with the prefix 0o or 0x."""
        text = str(self.construct_scalar(node))
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


for tag, (pattern, firsts) in NUMBERS.items():
    Loader.add_implicit_resolver(tag, re.compile(pattern), list(firsts))
Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_yaml_int)


class Place(NamedTuple):
    """A part of a file: the file, and the YAML node of the part."""

    path: Path
    node: Any

    def at(self, location: Sequence[int | str] = ()) -> str:
        """File and line of the deepest part of `location` that the node has."""
        return f"{self.path}:{_line(self.node, location)}"

    def has(self, key: int | str) -> bool:
        """Whether the node is a mapping with this key."""
        return isinstance(self.node, yaml.MappingNode) and any(k.value == key for k, _ in self.node.value)

    def child(self, key: int | str) -> Place:
        """The part under a key or an index; the node itself where there is none."""
        if isinstance(self.node, yaml.SequenceNode) and isinstance(key, int) and key < len(self.node.value):
            return Place(self.path, self.node.value[key])
        pairs = self.node.value if isinstance(self.node, yaml.MappingNode) else []
        return Place(self.path, next((value for name, value in pairs if name.value == key), self.node))


class Joined(NamedTuple):
    """The joined content of a policy and its includes.

    `rules` holds for each rule the places that define it, the overriding ones last; `params` the same by name.
    """

    content: dict[str, Any]
    root: Place
    rules: list[list[Place]]
    params: dict[str, list[Place]]

    def where(self, location: Sequence[int | str]) -> str:
        """The file and line of `location` in the content."""
        places: list[Place] = []
        if len(location) > 1 and location[0] == "rules":
            places = self.rules[int(location[1])]
        elif len(location) > 1 and location[0] == "params":
            places = self.params.get(str(location[1]), [])
        if places:
            place = next((p for p in reversed(places) if len(location) > 2 and p.has(location[2])), places[-1])
            return place.at(location[2:])
        return self.root.at(location)


def _line(root: Any, location: Sequence[int | str]) -> int:
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


def read_yaml(path: Path, what: str = "a policy") -> tuple[dict[str, Any], Place]:
    """A YAML mapping of bounded size without duplicate keys; PolicyError for anything else."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_POLICY_BYTES + 1)
    except (OSError, ValueError) as error:
        raise PolicyError(f"{what} cannot be read", got=getattr(error, "strerror", error), where=path) from error
    if len(raw) > MAX_POLICY_BYTES:
        raise PolicyError(f"{what} is too large", wanted=f"at most {MAX_POLICY_BYTES} bytes", where=path)
    try:
        text = raw.decode("utf-8")
        loader = Loader(text)
        root = loader.get_single_node()
        _refuse_duplicates(
            root, path, set()
        )  # before construction, since nested merges would construct too many values
        content = None if root is None else loader.construct_document(root)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a number of 5000 digits is a ValueError
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else path
        raise PolicyError(f"{what} is not YAML", got=getattr(error, "problem", None) or error, where=where) from error
    if not isinstance(content, dict) or root is None:
        raise PolicyError(f"{what} is a mapping", got=type(content).__name__, where=path)
    return content, Place(path, root)


def _refuse_duplicates(node: Any, path: Path, visited: set[int]) -> None:
    """YAML keeps the last of two equal keys in silence; here the second one is an error, and so is a merge key."""
    if id(node) in visited:  # an alias, perhaps in a circle
        return
    visited.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # an unhashable key, which construction refuses
            where = f"{path}:{key.start_mark.line + 1}"
            if key.tag == "tag:yaml.org,2002:merge":
                raise PolicyError("a file merges nothing by `<<`", wanted="the keys themselves", where=where)
            if key.value in seen:
                raise PolicyError("a key stands twice", got=repr(key.value), where=where)
            seen.add(key.value)
            _refuse_duplicates(value, path, visited)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicates(item, path, visited)


def join(path: Path) -> Joined:
    """A policy's file joined with its includes: included rules come first, and the including file overrides them."""
    return _join(path, (), [0])


def _join(path: Path, chain: tuple[Path, ...], count: list[int]) -> Joined:
    content, root = read_yaml(path)
    count[0] += 1
    if chain:
        _check_included(content, root)
    chain = (*chain, path)
    joined = Joined(content, root, [], {})
    rules: list[dict[str, Any]] = []
    params: dict[str, Any] = {}
    for index, included in enumerate(_included(content, root, chain, count)):
        other = _join(included, chain, count)
        ids = [rule.get("id") for rule in rules]
        for rule, places in zip(other.content["rules"], other.rules, strict=True):
            if rule.get("id") in ids:
                line = root.child("include").at((index,))
                raise PolicyError("two included policies have one rule id", got=rule.get("id"), where=line)
            rules.append(rule)
            joined.rules.append(places)
        params |= other.content.get("params", {})
        joined.params.update(other.params)
    _join_rules(joined, rules)
    _join_params(joined, params)
    content.pop("include", None)
    return joined


def _check_included(content: dict[str, Any], root: Place) -> None:
    for key in content:
        if key not in TOP_KEYS:
            raise PolicyError(
                f"unknown key {key!r} in a policy", wanted=nearest(str(key), TOP_KEYS), where=root.at((key,))
            )
    if content.get("schema") != SCHEMA:
        raise PolicyError("an included file is no policy", wanted=f"schema: {SCHEMA}", where=root.at(("schema",)))
    content.setdefault("rules", [])


def _included(content: dict[str, Any], root: Place, chain: tuple[Path, ...], count: list[int]) -> list[Path]:
    names = content.get("include", [])
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise PolicyError("include is a list of files", where=root.at(("include",)))
    paths = []
    for index, name in enumerate(names):
        path, where = chain[-1].parent / name, root.child("include").at((index,))
        shown = " -> ".join([p.name for p in (*chain, path)])
        try:
            there = path.is_file()
            again = path.resolve() in [p.resolve() for p in chain]
        except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name with a NUL
            raise PolicyError("an included policy cannot be read", got=repr(name), where=where) from error
        if again:
            raise PolicyError("policies include each other in a circle", got=shown, where=where)
        if len(chain) > MAX_INCLUDE_DEPTH:
            raise PolicyError(f"policies include each other more than {MAX_INCLUDE_DEPTH} deep", got=shown, where=where)
        if not there:  # a device or a pipe might never end
            raise PolicyError("an included policy is no file", got=repr(name), where=where)
        paths.append(path)
    if count[0] + len(paths) > MAX_FILES:
        raise PolicyError(f"a policy includes more than {MAX_FILES} files", where=root.at(("include",)))
    return paths


def _join_rules(joined: Joined, rules: list[dict[str, Any]]) -> None:
    content, root = joined.content, joined.root
    own = content.get("rules", [])
    if not isinstance(own, list) or not all(isinstance(rule, dict) for rule in own):
        raise PolicyError("the rules of a policy are a list of mappings", where=root.at(("rules",)))
    inherited = {rule["id"]: index for index, rule in enumerate(rules) if isinstance(rule.get("id"), str)}
    seen: set[str] = set()
    gone: set[int] = set()
    for number, rule in enumerate(own):
        place = root.child("rules").child(number)
        rule_id = str(rule["id"]) if isinstance(rule.get("id"), str) else ""
        if rule_id and rule_id in seen:
            raise PolicyError("two rules have one id", got=rule_id, where=place.at(("id",)))
        seen.add(rule_id)
        index = inherited.get(rule_id)
        if "disabled" in rule and (rule["disabled"] is not True or index is None):
            raise PolicyError(
                "`disabled: true` takes out a rule of an included policy",
                got=rule_id,
                wanted=nearest(rule_id, inherited) if inherited else "an include",
                where=place.at(("disabled",)),
            )
        if index is None:
            rules.append(dict(rule))
            joined.rules.append([place])
        elif "disabled" in rule:
            gone.add(index)
        else:
            rules[index] = _override(rules[index], rule)
            joined.rules[index] = [*joined.rules[index], place]
    if "rules" in content or content.get("include"):
        content["rules"] = [rule for index, rule in enumerate(rules) if index not in gone]
    joined.rules[:] = [places for index, places in enumerate(joined.rules) if index not in gone]


def _override(base: dict[str, Any], rule: dict[str, Any]) -> dict[str, Any]:
    """The base with the rule's fields; a new bound or expression replaces the old one of either kind."""
    dropped: set[str] = set()
    if "expr" in rule:
        dropped = {"expr", "fact", *BOUNDS}
    elif "fact" in rule or any(bound in rule for bound in BOUNDS):
        dropped = {"expr", *(BOUNDS if any(bound in rule for bound in BOUNDS) else ())}
    return {key: value for key, value in base.items() if key not in dropped} | rule


def _join_params(joined: Joined, params: dict[str, Any]) -> None:
    own = joined.content.get("params", {})
    if not isinstance(own, dict) or not all(isinstance(param, dict) for param in own.values()):
        raise PolicyError("params is a mapping of names to mappings", where=joined.root.at(("params",)))
    for name, param in own.items():
        before = params.get(name, {})
        params[name] = before | param
        joined.params[name] = [*joined.params.get(name, []), joined.root.child("params").child(name)]
    if params:
        joined.content["params"] = params
