"""`pins.json`: the packs that a person pinned, which retention keeps."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from autosurgeon.core.value import Value
from autosurgeon.errors import PackError
from autosurgeon.packs.files import write_whole


class Pin(Value):
    """One pinned pack."""

    pack: str
    reason: str
    by: str
    at: str


class _Pins(Value):
    format: Literal["autosurgeon.pins/1"] = "autosurgeon.pins/1"
    pins: tuple[Pin, ...]


def read_pins(path: Path) -> dict[str, Pin]:
    """Return the pins by pack; empty without a file. PackError if the file does not parse, because it may hold pins."""
    try:
        content = _Pins.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValidationError as error:
        raise PackError("the pins do not parse", got=error.errors()[0]["msg"], where=path) from error
    return {pin.pack: pin for pin in content.pins}


def write_pins(path: Path, pins: Iterable[Pin]) -> None:
    """Replace the file atomically; DurabilityError if the disk fails."""
    write_whole(path, _Pins(pins=tuple(pins)).model_dump_json(indent=1) + "\n")
