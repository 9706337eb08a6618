"""A user's checkpoint: what is refused, and how it becomes files fit for a pack."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from autosurgeon.core.digest import digest_json
from autosurgeon.core.pack import WEIGHTS_FILE
from autosurgeon.core.ports import Beat, no_beat
from autosurgeon.core.tensorfile import padded_header
from autosurgeon.errors import PackError
from autosurgeon.packs.files import CHUNK_BYTES, hash_file, read_header

PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
NEEDED = ("config.json", "tokenizer.json")
CONFIGS = ("config.json", "tokenizer_config.json")
"""Where a checkpoint can ask for code of its own to be run."""
ADAPTER_CONFIG = "adapter_config.json"


def check_checkpoint(folder: Path) -> None:
    """Refuse what is missing, cut short, pickled or wants its own code run, and adapters; PackError names the file."""
    if not folder.is_dir():
        raise PackError(
            "a model folder is missing", wanted="config.json, tokenizer.json and *.safetensors", where=folder
        )
    files = sorted(folder.iterdir())
    for file in files:
        if file.suffix in PICKLED:
            raise PackError(
                "a pickled checkpoint is refused, since loading it can run any code",
                got=file.name,
                wanted="safetensors",
                where=folder,
            )
        if file.suffix == ".py":
            raise PackError("a checkpoint that brings its own code is refused", got=file.name, where=folder)
    if (folder / ADAPTER_CONFIG).is_file():
        base = _mapping(folder / ADAPTER_CONFIG).get("base_model_name_or_path")
        raise PackError(
            "an adapter is no checkpoint",
            got=ADAPTER_CONFIG,
            wanted=f"its base ({base}), merged or alone",
            where=folder,
        )
    for name in NEEDED:
        if not (folder / name).is_file():
            raise PackError("a checkpoint is incomplete", got=f"no {name}", where=folder)
    for name in CONFIGS:
        if (folder / name).is_file() and "auto_map" in _mapping(folder / name):
            raise PackError("a checkpoint that brings its own code is refused", got="auto_map", where=folder / name)
    for file in files:
        if file.suffix == ".safetensors":
            read_header(file)


def _mapping(file: Path) -> dict[str, Any]:
    """A JSON file's mapping; PackError for anything else."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise PackError("a checkpoint's config does not parse", got=error, where=file) from error
    if not isinstance(content, dict):
        raise PackError("a checkpoint's config is no mapping", got=type(content).__name__, where=file)
    return content


def check_base(folder: Path) -> Path:
    """The weight file of a checkpoint that can be an organ: one file, of BF16 tensors; PackError for any other."""
    check_checkpoint(folder)
    weights = sorted(folder.glob("*.safetensors"))
    if len(weights) != 1:
        raise PackError(
            "a base has one weight file", got=[file.name for file in weights], wanted=WEIGHTS_FILE, where=folder
        )
    for tensor in read_header(weights[0]).tensors:
        if tensor.dtype != "BF16":
            raise PackError("a base's weights are BF16", got=f"{tensor.name}: {tensor.dtype}", where=weights[0])
    return weights[0]


def organ_digest(folder: Path, beat: Beat = no_beat) -> str:
    """SHA-256 over the digests of a checkpoint's weight files, by which a workspace knows its organ again."""
    return digest_json([hash_file(file, beat) for file in sorted(folder.glob("*.safetensors"))])


def stage_checkpoint(source: Path, target: Path, beat: Beat = no_beat) -> None:
    """Copy a BF16 checkpoint into `target`, its weights in one file with a padded header.

    Raises:
        PackError: a refused checkpoint, several weight files, or weights of another type than BF16.

    """
    weights = check_base(source)
    header = read_header(weights)
    first, _ = padded_header([(tensor.name, tensor.dtype, tensor.shape) for tensor in header.tensors])
    target.mkdir(parents=True)
    with weights.open("rb") as old, (target / WEIGHTS_FILE).open("wb") as new:
        new.write(first)
        old.seek(header.data_start)
        while chunk := old.read(CHUNK_BYTES):
            new.write(chunk)
            beat()
    for file in sorted(source.glob("*.json")):
        if file.name not in ("manifest.json", "model.safetensors.index.json"):
            shutil.copyfile(file, target / file.name)
