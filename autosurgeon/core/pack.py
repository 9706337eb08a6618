"""A pack's manifest, with its files and its lineage, and the record of an export of a pack."""

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
    """The origin of a pack; empty for an imported base."""

    parent: str | None = None
    recipe: Recipe | None = None
    dataset: str | None = None
    """SHA-256 of the rows."""
    merge_base: MergeBase | None = None
    """The weights that the adapter was merged into, if the parent was quantized in training."""
    salvage: str | None = None
    """The salvage rung that derived the adapter from the trained one, such as `scale:0.5`."""

    @model_serializer(mode="wrap")
    def _without_absent_fields(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Omit absent values, so that packs that predate these fields keep their names."""
        content: dict[str, Any] = whole(self)
        for name in ("merge_base", "salvage"):
            if content[name] is None:
                del content[name]
        return content


class Manifest(Value):
    """The content of a pack; the manifest's digest is the pack's name, so a changed pack has another name."""

    format: Literal["autosurgeon.pack/1"] = "autosurgeon.pack/1"
    files: dict[str, PackedFile]
    lineage: Lineage

    @property
    def digest(self) -> str:
        """The pack's name: 64 hex digits."""
        return digest_json(self.model_dump(mode="json"))


class Export(Value):
    """The record of one export of a pack, successful or not: to another file format, or by the user's own packer."""

    format: Literal["gguf", "command"]
    dtype: Literal["bf16", "f32"] | None = None
    """The type of a GGUF file's matrices."""
    command: tuple[str, ...] = ()
    """The packer and its arguments, as started."""
    out: str
    """The path of the file to write."""
    seconds: float
    exit_code: int | None = None
    """The packer's exit code; None without a packer, or if it was killed at its deadline."""
    output: str = ""
    """The end of the packer's standard output and error."""
    sha256: str | None = None
    """The digest of the file; None without a file."""
    bytes: int | None = None
    error: str | None = None
    """Why there is no file."""
