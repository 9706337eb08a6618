"""A pack's manifest: what it holds, byte for byte, and where it came from."""

from __future__ import annotations

from typing import Literal

from autosurgeon.core.digest import digest_json
from autosurgeon.core.recipe import Recipe
from autosurgeon.core.value import Value

MANIFEST_FILE = "manifest.json"
WEIGHTS_FILE = "model.safetensors"


class PackedFile(Value):
    """A file of the pack."""

    sha256: str
    bytes: int


class Lineage(Value):
    """Where a pack came from; nothing for a base that was imported."""

    parent: str | None = None
    recipe: Recipe | None = None
    dataset: str | None = None
    """SHA-256 of the rows."""


class Manifest(Value):
    """The pack's name is this manifest's digest, so a pack cannot change and keep its name."""

    format: Literal["autosurgeon.pack/1"] = "autosurgeon.pack/1"
    files: dict[str, PackedFile]
    lineage: Lineage

    @property
    def digest(self) -> str:
        """The pack's name: 64 hex digits."""
        return digest_json(self.model_dump(mode="json"))
