"""Settings from the environment: each `AUTOSURGEON_…` variable is a setting or a name that the program reads itself.

`AUTOSURGEON_LOOP__ATTEMPTS=5` sets `attempts` in `[loop]`: in upper or lower case, with two underscores between the
steps. A list or a whole table is JSON. Any other name is an error with a hint, so that a mistyped variable is never
ignored.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel

from autosurgeon.errors import UserError, nearest
from autosurgeon.failpoints import VARIABLE
from autosurgeon.places import is_mapping, section_in

PREFIX = "AUTOSURGEON_"
BETWEEN = "__"
OTHER_NAMES: Mapping[str, str] = {
    "AUTOSURGEON_WORKSPACE": "replaces --workspace",
    VARIABLE: "arms a failpoint in tests",
    "AUTOSURGEON_PARENT": "the process with which a capsule ends",
    "AUTOSURGEON_ACTION": "of a deploy command: promote or revert",
    "AUTOSURGEON_PACK": "of a deploy command: the digest to serve",
    "AUTOSURGEON_FOLDER": "of a deploy command: the pack's folder",
    "AUTOSURGEON_LIVE_VERSION": "of a deploy command: the live version",
    "AUTOSURGEON_LIVE_FILE": "of a deploy command: the path of live.json",
}
"""Names that are not settings: the program reads them elsewhere or passes them to programs that it starts."""
MISSPELLED = 0.85
"""Similarity of a variable's first word to AUTOSURGEON from which it counts as mistyped; AUTOSURGERY is below it."""


class Variables(NamedTuple):
    """The settings in the environment."""

    content: dict[str, Any]
    """In the form of a config file, before validation."""
    names: Mapping[tuple[str, ...], str]
    """The variable of each setting."""


class _Target(NamedTuple):
    """The setting that a variable names."""

    steps: tuple[str, ...]
    annotation: Any
    """Its type."""


def read_variables(model: type[BaseModel], environment: Mapping[str, str], content: Mapping[str, Any]) -> Variables:
    """Read the settings in the environment.

    Args:
        model: the settings' model.
        environment: every variable.
        content: the config file, whose tables with free names (benches) the variables may refer to.

    Raises:
        UserError: an unknown name, a repeated name, an empty value, or invalid JSON. Values are never shown: they may
            be secrets.

    """
    names: dict[tuple[str, ...], str] = {}
    values: dict[tuple[str, ...], Any] = {}
    for name in sorted(environment):
        if not _is_ours(name, model):
            continue
        target = None if name in OTHER_NAMES else _target_of(name, model, content)
        if not environment[name]:
            raise UserError("a variable is empty", wanted=f"a value, or `unset {name}`", where=name)
        if target is None:
            continue
        if target.steps in names:
            raise UserError("a setting is in the environment twice", got=f"{names[target.steps]} and {name}")
        names[target.steps] = name
        values[target.steps] = _value_of(name, environment[name], target.annotation)
    found: dict[str, Any] = {}
    for steps in sorted(values, key=len):  # a whole table first, then its single values
        _put(found, steps, values[steps])
    _refuse_new_keys(model, names, found, content)
    return Variables(found, names)


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two trees of settings; the second has precedence."""
    merged = dict(below)
    for key, value in above.items():
        known = merged.get(key)
        merged[key] = merge(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return merged


def _is_ours(name: str, model: type[BaseModel]) -> bool:
    """Whether a variable is for this program; UserError if its first word is mistyped."""
    upper = name.upper()
    if upper.startswith(PREFIX):
        return True
    first, _, rest = upper.partition("_")
    own = PREFIX.removesuffix("_")
    if first != own and rest and difflib.SequenceMatcher(None, first, own).ratio() >= MISSPELLED:
        known = [*all_names(model), *OTHER_NAMES]
        if difflib.get_close_matches(rest, [one.removeprefix(PREFIX) for one in known], n=1, cutoff=0.8):
            raise _unknown(name, rest, known)
    return False


def all_names(model: type[BaseModel], prefix: str = PREFIX) -> Iterator[str]:
    """Yield the variables of all settings with fixed names."""
    for name, field in model.model_fields.items():
        yield (own := f"{prefix}{name.upper()}")
        inner = section_in(field.annotation)
        if inner is not None and not is_mapping(field.annotation):
            yield from all_names(inner, f"{own}{BETWEEN}")


def _unknown(name: str, meant: str, known: Sequence[str]) -> UserError:
    # Without the common prefix, which would make all names similar.
    bare = {one.removeprefix(PREFIX): one for one in known}
    close = difflib.get_close_matches(meant.removeprefix(PREFIX), bare, n=1, cutoff=0.5)
    hint = f"did you mean {bare[close[0]]}?" if close else f"the name of a setting, or `unset {name}`"
    return UserError(f"unknown variable {name}", wanted=hint, where="environment")


def _target_of(name: str, model: type[BaseModel], content: Mapping[str, Any]) -> _Target:
    """Find the setting of a variable; UserError with a hint for an unknown one."""
    path = name[len(PREFIX) :].lower()
    steps: list[str] = []
    section: type[BaseModel] = model
    while True:
        step, between, path = path.partition(BETWEEN)
        field = section.model_fields.get(step)
        if field is None:
            raise _no_such_step(name, model, steps, step, section)
        steps.append(step)
        inner = section_in(field.annotation)
        if not between:
            return _Target(tuple(steps), field.annotation)
        if is_mapping(field.annotation):
            return _in_mapping(name, steps, path, inner, content)
        if inner is None:
            raise UserError(f"unknown variable {name}", wanted=_variable(steps), where="environment")
        section = inner


def _in_mapping(
    name: str, steps: list[str], path: str, inner: type[BaseModel] | None, content: Mapping[str, Any]
) -> _Target:
    """Find a setting below a free key, of a bench or of a request's additional fields."""
    if inner is None:
        return _Target((*steps, *path.split(BETWEEN)), Any)
    key, between, field_name = path.rpartition(BETWEEN)
    if not between:
        return _Target((*steps, _key_as_written(steps, path, content)), inner)
    field = inner.model_fields.get(field_name)
    if field is None:
        wanted = nearest(field_name, inner.model_fields)
        setting = ".".join([*steps, key, field_name])
        raise UserError(f"unknown setting {setting!r}", got=name, wanted=wanted, where="environment")
    return _Target((*steps, _key_as_written(steps, key, content), field_name), field.annotation)


def _key_as_written(steps: Sequence[str], key: str, content: Mapping[str, Any]) -> str:
    """Return the key as written in the config file, since variables ignore case."""
    known = [one for one in _table(content, steps) if one.lower() == key]
    if len(known) > 1:
        raise UserError("a variable matches two tables", got=", ".join(known), where=".".join(steps))
    return known[0] if known else key


def _refuse_new_keys(
    model: type[BaseModel], names: Mapping[tuple[str, ...], str], found: Mapping[str, Any], content: Mapping[str, Any]
) -> None:
    """UserError for a new key without its required fields, such as a mistyped bench."""
    for steps, name in names.items():
        field = model.model_fields[steps[0]]
        inner = section_in(field.annotation)
        known = _table(content, steps[:1])
        if len(steps) < 3 or not is_mapping(field.annotation) or inner is None or steps[1] in known:
            continue
        needed = [one for one, field in inner.model_fields.items() if field.is_required()]
        missing = [one for one in needed if one not in _table(found, steps[:2])]
        if missing:
            hint = f"{nearest(steps[1], known)} or " if known else ""
            also = ", ".join(_variable([*steps[:2], one]) for one in missing)
            raise UserError(f"unknown table {'.'.join(steps[:2])}", wanted=f"{hint}{also}", where=name)


def _no_such_step(
    name: str, model: type[BaseModel], steps: list[str], step: str, section: type[BaseModel]
) -> UserError:
    """Return the error for an unknown step, worded as for an unknown key of a config file."""
    close = difflib.get_close_matches(step, list(section.model_fields), n=1, cutoff=0.8)
    if not close:
        return _unknown(name, name.upper(), [*all_names(model), *OTHER_NAMES])
    rest = name[len(PREFIX) :].lower().split(BETWEEN)[len(steps) + 1 :]
    return UserError(
        f"unknown setting {'.'.join([*steps, step])!r}",
        got=name,
        wanted=f"did you mean {close[0]!r}, {_variable([*steps, *close, *rest])}?",
        where="environment",
    )


def _variable(steps: Sequence[str]) -> str:
    return PREFIX + BETWEEN.join(steps).upper()


def _table(content: Mapping[str, Any], steps: Sequence[str]) -> Mapping[str, Any]:
    for step in steps:
        inner = content.get(step)
        if not isinstance(inner, dict):
            return {}
        content = inner
    return content


def _value_of(name: str, text: str, annotation: Any) -> Any:
    """Parse a variable's value: JSON for a list or table, text for other types, either for a field of any type."""
    if annotation is Any:
        try:
            return json.loads(text)
        except ValueError:
            return text
    form = _json_form(annotation)
    if form is None:
        return text
    try:
        value = json.loads(text, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        why = f"{error.msg} at character {error.pos}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise UserError("a variable is not valid JSON", got=why, wanted=form, where=name) from error
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("an object repeats a key")
    return dict(pairs)


def _json_form(annotation: Any) -> str | None:
    """Describe the JSON form of a setting; None for plain text."""
    origin = get_origin(annotation)
    if origin in (tuple, list):
        return 'a list, such as ["one", "two"]'
    if section_in(annotation) is not None or is_mapping(annotation):
        return 'an object, such as {"name": "value"}'
    inner = (_json_form(one) for one in get_args(annotation) if one is not type(None))
    return next((form for form in inner if form), None)


def _put(content: dict[str, Any], steps: Sequence[str], value: Any) -> None:
    *way, last = steps
    for step in way:
        inner = content.get(step)
        if not isinstance(inner, dict):
            inner = content[step] = {}
        content = inner
    content[last] = value
