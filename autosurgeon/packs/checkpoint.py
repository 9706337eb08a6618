"""A user's checkpoint: its validation, and its conversion to the files of a pack."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from autosurgeon.core.digest import digest_json
from autosurgeon.core.pack import WEIGHTS_FILE
from autosurgeon.core.ports import Beat, no_beat
from autosurgeon.core.tensorfile import padded_header, read_header
from autosurgeon.errors import PackError
from autosurgeon.packs.files import CHUNK_BYTES, hash_file

PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
NEEDED = ("config.json", "tokenizer.json")
CONFIGS = ("config.json", "tokenizer_config.json")
"""The files in which a checkpoint can request that its own code is run."""
ADAPTER_CONFIG = "adapter_config.json"
INDEX_FILE = "model.safetensors.index.json"
"""The index of weights in several files: the file of each tensor."""


def check_checkpoint(folder: Path) -> None:
    """Refuse a checkpoint that is incomplete, truncated, pickled, has its own code, or is an adapter.

    PackError names the file.
    """
    if not folder.is_dir():
        raise PackError(
            "a model folder is missing", wanted="config.json, tokenizer.json and *.safetensors", where=folder
        )
    files = sorted(folder.iterdir())
    for file in files:
        if file.suffix in PICKLED:
            raise PackError(
                "a pickled checkpoint is refused, because loading it can run any code",
                got=file.name,
                wanted="safetensors",
                where=folder,
            )
        if file.suffix == ".py":
            raise PackError("a checkpoint that brings its own code is refused", got=file.name, where=folder)
    if (folder / ADAPTER_CONFIG).is_file():
        base = read_mapping(folder / ADAPTER_CONFIG).get("base_model_name_or_path")
        raise PackError(
            "an adapter is not a checkpoint",
            got=ADAPTER_CONFIG,
            wanted=f"its base ({base}), merged or alone",
            where=folder,
        )
    for name in NEEDED:
        if not (folder / name).is_file():
            raise PackError("a checkpoint is incomplete", got=f"no {name}", where=folder)
    for name in CONFIGS:
        if (folder / name).is_file() and "auto_map" in read_mapping(folder / name):
            raise PackError("a checkpoint that brings its own code is refused", got="auto_map", where=folder / name)
    for file in files:
        if file.suffix == ".safetensors":
            read_header(file)


def read_mapping(file: Path) -> dict[str, Any]:
    """Return a JSON file's mapping; PackError for anything else."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise PackError("a checkpoint's config does not parse", got=error, where=file) from error
    if not isinstance(content, dict):
        raise PackError("a checkpoint's config is not a mapping", got=type(content).__name__, where=file)
    return content


def check_base(folder: Path) -> list[Path]:
    """Return the weight files of a checkpoint that can be an organ, with BF16 tensors only, in order.

    PackError for any other checkpoint.
    """
    check_checkpoint(folder)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise PackError("a base has no weight file", wanted=WEIGHTS_FILE, where=folder)
    found: dict[str, str] = {}
    for file in weights:
        for tensor in read_header(file).tensors:
            if tensor.dtype != "BF16":
                raise PackError("a base's weights are BF16", got=f"{tensor.name}: {tensor.dtype}", where=file)
            if tensor.name in found:
                got = f"{tensor.name} in {found[tensor.name]} and {file.name}"
                raise PackError("a base has a tensor twice", got=got, where=folder)
            found[tensor.name] = file.name
    _check_index(folder, found, several=len(weights) > 1)
    return weights


def _check_index(folder: Path, found: dict[str, str], *, several: bool) -> None:
    """Compare the files' tensors with the index, which also names files that are missing."""
    index = folder / INDEX_FILE
    wanted = read_mapping(index).get("weight_map") if index.is_file() else None
    if not wanted and not several:
        return
    if not isinstance(wanted, dict):
        raise PackError("a base of several weight files has an index", got=wanted, wanted="weight_map", where=index)
    wrong = [name for name in sorted({*wanted, *found}) if wanted.get(name) != found.get(name)]
    if wrong:
        raise PackError(
            "a base's weight files do not match its index",
            got=f"{wrong[0]}: {found.get(wrong[0], 'nowhere')}",
            wanted=wanted.get(wrong[0], "no such tensor"),
            where=index,
        )


def organ_digest(folder: Path, beat: Beat = no_beat) -> str:
    """Return the SHA-256 over the digests of a checkpoint's weight files, which identifies a workspace's organ."""
    return digest_json([hash_file(file, beat) for file in sorted(folder.glob("*.safetensors"))])


def stage_checkpoint(source: Path, target: Path, beat: Beat = no_beat) -> None:
    """Copy a BF16 checkpoint into `target`, with its weights in one file with a padded header.

    Raises:
        PackError: the checkpoint is refused, its weights are not BF16, or they do not match its index.

    """
    weights = check_base(source)
    headers = [read_header(file) for file in weights]
    first, _ = padded_header([(t.name, t.dtype, t.shape) for header in headers for t in header.tensors])
    target.mkdir(parents=True)
    with (target / WEIGHTS_FILE).open("wb") as new:
        new.write(first)
        for file, header in zip(weights, headers, strict=True):
            with file.open("rb") as old:
                old.seek(header.data_start)
                while chunk := old.read(CHUNK_BYTES):
                    new.write(chunk)
                    beat()
    for config in sorted([*source.glob("*.json"), *source.glob("*.jinja")]):
        if config.name not in ("manifest.json", INDEX_FILE):
            shutil.copyfile(config, target / config.name)
