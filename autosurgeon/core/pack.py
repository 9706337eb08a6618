"""A pack's manifest: what it holds, byte for byte, and where it came from."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer

from autosurgeon.core.digest import digest_json
from autosurgeon.core.recipe import MergeBase, Recipe
from autosurgeon.core.value import Value

MANIFEST_FILE = "manifest.json"
WEIGHTS_FILE = "model.safetensors"
ADAPTER_FILE = "adapter_model.safetensors"


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
    merge_base: MergeBase | None = None
    """Where the parent was quantized in training: what the adapter was merged into."""
    salvage: str | None = None
    """The rung that made the adapter of the one that was trained, such as `scale:0.5`."""

    @model_serializer(mode="wrap")
    def _without_what_does_not_apply(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what there was not, so that packs from before it was told keep their names."""
        content: dict[str, Any] = whole(self)
        for name in ("merge_base", "salvage"):
            if content[name] is None:
                del content[name]
        return content


class Manifest(Value):
    """The pack's name is this manifest's digest, so a pack cannot change and keep its name."""

    format: Literal["autosurgeon.pack/1"] = "autosurgeon.pack/1"
    files: dict[str, PackedFile]
    lineage: Lineage

    @property
    def digest(self) -> str:
        """The pack's name: 64 hex digits."""
        return digest_json(self.model_dump(mode="json"))
