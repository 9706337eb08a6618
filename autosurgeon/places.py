"""Marks on the types of settings that name a path, a program, a command or an address.

Relative paths in a config file start at its folder, those in the environment at the current directory. The marks are
the only list of such settings: the checks of `doctor` and the anchoring of paths both follow from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel, Field, SecretStr
from pydantic.fields import FieldInfo

from autosurgeon.errors import UserError

EACH = "*"
"""Stands for any key of a mapping in the name of a setting."""
_PLACEHOLDER = re.compile(r"\{\w+\}")


class Place(Enum):
    """The kind of place that a setting names."""

    PATH = "path"
    PROGRAM = "program"
    COMMAND = "command"
    ADDRESS = "address"


ConfigPath = Annotated[Path, Place.PATH]
"""A file or a folder."""
ConfigProgram = Annotated[str, Field(min_length=1), Place.PROGRAM]
"""A program: a path where it contains a slash, otherwise a name that is looked up in PATH."""
ConfigCommand = Annotated[tuple[str, ...], Place.COMMAND]
"""A program and its arguments; only the program is anchored, arguments are passed unchanged."""
ConfigAddress = Annotated[str, Field(min_length=1), Place.ADDRESS]
"""A URL."""
SecretAddress = Annotated[SecretStr, Field(min_length=1), Place.ADDRESS]
"""A URL that is never shown."""


class PlaceSetting(NamedTuple):
    """A setting that names a place."""

    steps: tuple[str, ...]
    place: Place

    @property
    def name(self) -> str:
        """The setting's name in messages, such as `benches.*.tasks`."""
        return ".".join(self.steps)


def place_settings(model: type[BaseModel]) -> Iterator[PlaceSetting]:
    """Yield every setting of a model and its nested models that names a place."""
    for name, field in model.model_fields.items():
        place, inner = _place_of(field), section_in(field.annotation)
        if place is not None:
            yield PlaceSetting((name,), place)
        if inner is not None:
            between = (EACH,) if is_mapping(field.annotation) else ()
            for setting in place_settings(inner):
                yield PlaceSetting((name, *between, *setting.steps), setting.place)


def _place_of(field: FieldInfo) -> Place | None:
    marks = [*field.metadata, *_marks(field.annotation)]
    return next((mark for mark in marks if isinstance(mark, Place)), None)


def _marks(annotation: Any) -> Iterator[Any]:
    yield from getattr(annotation, "__metadata__", ())
    for inner in get_args(annotation):
        yield from _marks(inner)


def section_in(annotation: Any) -> type[BaseModel] | None:
    """Find the model in an annotation: alone, optional, or as the values of a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := section_in(inner))), None)


def is_mapping(annotation: Any) -> bool:
    """Whether an annotation is a mapping with free keys."""
    origin = get_origin(annotation)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def named_files(section: BaseModel) -> list[Path]:
    """List every file, folder and program that settings name by a path."""
    found = [value for setting in place_settings(type(section)) for value in _values(section, setting, setting.steps)]
    return [Path(value) for value in found if "/" in value]


def _values(value: Any, setting: PlaceSetting, steps: tuple[str, ...]) -> Iterator[str]:
    if setting.place == Place.ADDRESS or value is None:
        return
    if not steps:
        several = value if isinstance(value, tuple) else (value,)
        yield from map(str, several[:1] if setting.place == Place.COMMAND else several)
        return
    key, *rest = steps
    for inner in value.values() if key == EACH else [getattr(value, key)]:
        yield from _values(inner, setting, tuple(rest))


def anchor_places(model: type[BaseModel], content: Any, folder: Path) -> None:
    """Resolve each relative path in raw settings against a folder, and expand `~`.

    Args:
        model: the settings' model.
        content: the settings of a file or the environment before validation; changed in place.
        folder: an absolute path.

    Raises:
        UserError: a path is empty, contains a NUL, or its `~` names no user.

    """
    for setting in place_settings(model):
        _anchor(content, setting, setting.steps, folder)


def _anchor(content: Any, setting: PlaceSetting, steps: tuple[str, ...], folder: Path) -> None:
    if not isinstance(content, dict):
        return  # validation reports the fault
    key, *rest = steps
    for name in list(content) if key == EACH else [key]:
        if rest:
            _anchor(content.get(name), setting, tuple(rest), folder)
        elif name in content:
            content[name] = _anchored(content[name], setting, folder)


def _anchored(value: Any, setting: PlaceSetting, folder: Path) -> Any:
    if setting.place == Place.ADDRESS:
        return value
    if isinstance(value, list | tuple):
        anchored = [_anchored_text(one, setting, folder) if isinstance(one, str) else one for one in value]
        return [*anchored[:1], *value[1:]] if setting.place == Place.COMMAND else anchored
    return _anchored_text(value, setting, folder) if isinstance(value, str) else value


def _anchored_text(text: str, setting: PlaceSetting, folder: Path) -> str:
    if not text or "\0" in text:
        problem = "is empty; leave it out for its default" if not text else "contains a NUL"
        raise UserError(f"setting {setting.name!r} {problem}")
    is_name = setting.place != Place.PATH and "/" not in text and not text.startswith("~")
    # A placeholder of a command is replaced later by an absolute path.
    if is_name or (setting.place == Place.COMMAND and _PLACEHOLDER.match(text)):
        return text
    try:
        return str(folder / Path(text).expanduser())
    except RuntimeError as error:
        raise UserError(
            f"setting {setting.name!r} starts with an unknown home folder",
            got=Path(text).parts[0],
            wanted="the full path",
        ) from error
