"""Settings from the environment: each `AUTOSURGEON_…` variable is a setting or a name that the product reads itself.

`AUTOSURGEON_LOOP__ATTEMPTS=5` sets `attempts` in `[loop]`: upper or lower case, two underscores between the steps.
A list, or a whole table, is JSON. Any other name is an error with the nearest one, so that a mistyped variable is never
a setting that quietly keeps its default.
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
    "AUTOSURGEON_WORKSPACE": "stands for --workspace",
    VARIABLE: "arms a failpoint, in tests",
    "AUTOSURGEON_PARENT": "the process that a capsule ends with",
    "AUTOSURGEON_ACTION": "of a deploy command: promote or revert",
    "AUTOSURGEON_PACK": "of a deploy command: the digest to serve",
    "AUTOSURGEON_FOLDER": "of a deploy command: the pack's folder",
    "AUTOSURGEON_LIVE_VERSION": "of a deploy command: the live version",
    "AUTOSURGEON_LIVE_FILE": "of a deploy command: the path of live.json",
}
"""Names that are no settings: what the product reads elsewhere, and what it hands to the programs that it starts."""
MISSPELLED = 0.85
"""How near a variable's first word has to come to AUTOSURGEON to be taken for a slip of it; AUTOSURGERY does not."""


class Variables(NamedTuple):
    """The settings that the environment holds."""

    content: dict[str, Any]
    """As a config file would have them, before validation."""
    names: Mapping[tuple[str, ...], str]
    """The variable that each setting comes from."""


class _Target(NamedTuple):
    """The setting that a variable names."""

    steps: tuple[str, ...]
    annotation: Any
    """Its type."""


def read_variables(model: type[BaseModel], environment: Mapping[str, str], content: Mapping[str, Any]) -> Variables:
    """The settings in the environment.

    Args:
        model: the settings' model.
        environment: every variable.
        content: of the config file, whose tables of free names (benches) the variables may refer to.

    Raises:
        UserError: an unknown name, one that stands there twice, an empty value, or one that is no JSON where JSON is
            wanted. No value is ever shown: it may be a secret.

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
            raise UserError("a setting stands twice in the environment", got=f"{names[target.steps]} and {name}")
        names[target.steps] = name
        values[target.steps] = _value_of(name, environment[name], target.annotation)
    found: dict[str, Any] = {}
    for steps in sorted(values, key=len):  # a whole table first, then what is set of it one by one
        _put(found, steps, values[steps])
    _refuse_new_keys(model, names, found, content)
    return Variables(found, names)


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two trees of settings; of the second, whatever it has."""
    merged = dict(below)
    for key, value in above.items():
        known = merged.get(key)
        merged[key] = merge(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return merged


def _is_ours(name: str, model: type[BaseModel]) -> bool:
    """Whether a variable is meant for this program; UserError where its first word is a slip of the pen."""
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
    """The variables of all settings whose names are known beforehand."""
    for name, field in model.model_fields.items():
        yield (own := f"{prefix}{name.upper()}")
        inner = section_in(field.annotation)
        if inner is not None and not is_mapping(field.annotation):
            yield from all_names(inner, f"{own}{BETWEEN}")


def _unknown(name: str, meant: str, known: Sequence[str]) -> UserError:
    # Without what all of them begin with, which would make any two of them look alike.
    bare = {one.removeprefix(PREFIX): one for one in known}
    close = difflib.get_close_matches(meant.removeprefix(PREFIX), bare, n=1, cutoff=0.5)
    hint = f"did you mean {bare[close[0]]}?" if close else f"the name of a setting, or `unset {name}`"
    return UserError(f"unknown variable {name}", wanted=hint, where="environment")


def _target_of(name: str, model: type[BaseModel], content: Mapping[str, Any]) -> _Target:
    """The setting that a variable names; UserError with the nearest name where there is none."""
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
    """A setting below a key that is free: of a bench, or of a request's further fields."""
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
    """The key as the config file writes it, since variables know no case."""
    known = [one for one in _table(content, steps) if one.lower() == key]
    if len(known) > 1:
        raise UserError("a variable cannot tell two tables apart", got=", ".join(known), where=".".join(steps))
    return known[0] if known else key


def _refuse_new_keys(
    model: type[BaseModel], names: Mapping[tuple[str, ...], str], found: Mapping[str, Any], content: Mapping[str, Any]
) -> None:
    """UserError for a key that the file does not have and that lacks what it needs: a bench's name, mistyped."""
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
    """The error for a step that a section does not have, in the words that a config file's unknown key has."""
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
    """A variable's value: JSON for a list or a table, text for anything else, either for a field of any type."""
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
        raise UserError("a variable is no JSON", got=why, wanted=form, where=name) from error
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key stands twice in an object")
    return dict(pairs)


def _json_form(annotation: Any) -> str | None:
    """What a setting looks like in JSON; None where it is plain text."""
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
