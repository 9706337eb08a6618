"""Merge an adapter into its base, one tensor at a time.

No model is built: the kernel copies the bytes of tensors without an adapter; the others are summed in FP32 and rounded
to BF16 once. Peak memory is a few copies of the largest adapted matrix, independent of the model's size.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file

from autosurgeon.capsule.workdir import Progress
from autosurgeon.core.jobs import MergeJob, MergeResult
from autosurgeon.core.shapes import weight_files
from autosurgeon.core.tensorfile import Tensor, header_bytes, padded_header, parse_header
from autosurgeon.errors import PackError

CHUNK_BYTES = 16 << 20
FLOATS = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
# The allowed values of settings that change the arithmetic; other values are refused by name.
PLAIN_LORA: dict[str, tuple[Any, ...]] = {
    "peft_type": ("LORA",),
    "bias": ("none",),
    "use_dora": (False, None),
    "fan_in_fan_out": (False, True, None),
    "modules_to_save": (None, []),
    "alpha_pattern": ({}, None),
}


class Source(NamedTuple):
    """A tensor and the file that holds it."""

    file: int
    tensor: Tensor
    offset: int


class Adapter(NamedTuple):
    """The low-rank pairs by the base tensor's name, and the scale of their product."""

    pairs: dict[str, tuple[torch.Tensor, torch.Tensor]]
    scale: float
    transposed: bool = False
    """Whether the base's matrices are (in, out), as those of GPT-2; the pairs then are the transposed halves, so that
    their product has the shape of its matrix."""


def read_adapter(folder: Path) -> Adapter:
    """Read a plain LoRA adapter in safetensors; PackError for an adapter that cannot be merged exactly."""
    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        state = load_file(folder / "adapter_model.safetensors")
    except FileNotFoundError as error:
        raise PackError("an adapter is incomplete", got=f"no {error.filename}", where=folder) from error
    for key, allowed in PLAIN_LORA.items():
        if config.get(key) not in allowed:
            raise PackError(
                f"an adapter's {key} cannot be merged", got=config.get(key), wanted=allowed[0], where=folder
            )
    rank, alpha = config["r"], config["lora_alpha"]
    scale = alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank
    pairs = {}
    for key in state:
        if key.endswith(".lora_A.weight"):
            stem = key.removesuffix(".lora_A.weight")
            pairs[stem.removeprefix("base_model.model.") + ".weight"] = (state[key], state[f"{stem}.lora_B.weight"])
    # peft lists ranks of layers that the adapter may lack; the shapes show those that it has.
    ranks = {lora_a.shape[0] for lora_a, _ in pairs.values()}
    if ranks - {rank}:
        raise PackError("an adapter has matrices of several ranks", got=sorted(ranks), wanted=rank, where=folder)
    if not pairs or 2 * len(pairs) != len(state):
        raise PackError("an adapter holds other tensors than LoRA pairs", got=f"{len(state)} tensors", where=folder)
    transposed = bool(config.get("fan_in_fan_out"))
    return Adapter(transpose(pairs) if transposed else pairs, scale, transposed)


def transpose(pairs: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Return pairs with the transposed products."""
    return {name: (lora_b.T.contiguous(), lora_a.T.contiguous()) for name, (lora_a, lora_b) in pairs.items()}


def fit(adapter: Adapter, shapes: Mapping[str, tuple[int, ...]], base: Path, folder: Path) -> Adapter:
    """Return the adapter with its pairs by the names in its base; PackError unless each has a tensor of its shape.

    Args:
        adapter: read from `folder`.
        shapes: of the base's tensors, by the names in its files.
        base: the base's folder.
        folder: the adapter's folder.

    """
    names = _stored(adapter.pairs, shapes, base)
    pairs = {names.get(name, name): pair for name, pair in adapter.pairs.items()}
    for name, (lora_a, lora_b) in pairs.items():
        if shapes.get(name) != (lora_b.shape[0], lora_a.shape[1]):
            raise PackError("an adapter does not fit its base", got=name, where=f"{folder} on {base}")
    return adapter._replace(pairs=pairs)


def _stored(names: Iterable[str], stored: Iterable[str], base: Path) -> dict[str, str]:
    """Return the names in a base's files by those in its model, if any of the latter is not in the files."""
    if set(names) <= set(stored):
        return {}
    from autosurgeon.capsule.stored_names import stored_names  # the import of transformers takes seconds

    return stored_names(base, stored)


def _sources(descriptors: list[int], files: list[Path]) -> list[Source]:
    sources = []
    for index, (descriptor, file) in enumerate(zip(descriptors, files, strict=True)):
        length = header_bytes(os.pread(descriptor, 8, 0), str(file))
        header = parse_header(os.pread(descriptor, length, 8), str(file))
        if os.fstat(descriptor).st_size != header.file_bytes:
            raise PackError("a weight file is cut short or has a tail", wanted=f"{header.file_bytes} bytes", where=file)
        sources += [Source(index, tensor, header.data_start + tensor.start) for tensor in header.tensors]
    return sources


def _copy(source: int, offset: int, target: int, at: int, count: int) -> None:
    while count:
        moved = os.copy_file_range(source, target, min(count, CHUNK_BYTES), offset, at)
        if moved == 0:
            raise PackError("a weight file ended while it was read")
        offset, at, count = offset + moved, at + moved, count - moved


def _read(descriptor: int, offset: int, count: int, dtype: torch.dtype) -> torch.Tensor:
    buffer = bytearray(count)
    view, done = memoryview(buffer), 0
    while done < count:
        moved = os.preadv(descriptor, [view[done:]], offset + done)
        if moved == 0:
            raise PackError("a weight file ended while it was read")
        done += moved
    return torch.frombuffer(buffer, dtype=dtype)


def _write(descriptor: int, at: int, values: torch.Tensor) -> None:
    view = memoryview(values.contiguous().view(torch.uint8).numpy().data).cast("B")
    while view.nbytes:
        moved = os.pwrite(descriptor, view, at)
        view, at = view[moved:], at + moved


def _merge_tensor(weight: torch.Tensor, pair: tuple[torch.Tensor, torch.Tensor] | None, scale: float) -> torch.Tensor:
    """Return W + scale * B A, summed in FP32 and rounded to BF16 once; W without an adapter."""
    total = weight.float()
    if pair is not None:
        lora_a, lora_b = pair
        total += torch.mm(lora_b.float(), lora_a.float()).mul_(scale)
    return total.to(torch.bfloat16)


def _quantized(job: MergeJob, known: set[str]) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    """Return the conversion of each weight that training held in NF4; empty for a merge into the original weights."""
    if job.merge_base == "original":
        return {}
    from autosurgeon.capsule.nf4 import dequantized, quantized_weights  # the import of transformers takes seconds

    in_model = quantized_weights(job.base)
    in_files = _stored(in_model, known, job.base)
    names = {in_files.get(name, name) for name in in_model}
    if not names <= known:
        raise PackError("a base has no such layer to quantize", got=min(names - known), where=job.base)
    return dict.fromkeys(names, dequantized)


def _convert(source: int, offset: int, count: int, dtype: torch.dtype, target: int, at: int) -> None:
    """Convert any float type to BF16, one chunk at a time."""
    while count:
        step = min(count, CHUNK_BYTES)
        values = _read(source, offset, step, dtype).to(torch.bfloat16)
        _write(target, at, values)
        offset, at, count = offset + step, at + values.nbytes, count - step


def merge(job: MergeJob, workdir: Path) -> MergeResult:
    """Write `model/`: the merged weights in one padded BF16 file, with the base's config and tokenizer."""
    adapter = read_adapter(job.adapter)
    files = weight_files(job.base)
    folder = workdir / "model"
    folder.mkdir()
    descriptors = [os.open(file, os.O_RDONLY) for file in files]
    target = os.open(folder / "model.safetensors", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        merged = _stream(_sources(descriptors, files), descriptors, adapter, target, workdir, job)
        os.fsync(target)
    finally:
        for descriptor in (*descriptors, target):
            os.close(descriptor)
    for file in sorted([*job.base.glob("*.json"), *job.base.glob("*.jinja")]):
        if file.name not in ("manifest.json", "model.safetensors.index.json"):
            shutil.copyfile(file, folder / file.name)
    return MergeResult(model="model", tensors=merged, merged=len(adapter.pairs))


def _stream(
    sources: list[Source], descriptors: list[int], adapter: Adapter, target: int, workdir: Path, job: MergeJob
) -> int:
    """Copy, convert or merge each tensor in file order, and return the number written."""
    shapes = {source.tensor.name: source.tensor.shape for source in sources}
    quantized = _quantized(job, set(shapes))
    adapter = fit(adapter, shapes, job.base, job.adapter)
    first, header = padded_header(
        [(s.tensor.name, "BF16" if s.tensor.dtype in FLOATS else s.tensor.dtype, s.tensor.shape) for s in sources]
    )
    os.pwrite(target, first, 0)
    os.ftruncate(target, header.file_bytes)
    progress = Progress(workdir, len(sources))
    for done, (source, placed) in enumerate(zip(sources, header.tensors, strict=True), start=1):
        tensor, at = source.tensor, header.data_start + placed.start
        descriptor, size = descriptors[source.file], tensor.end - tensor.start
        pair = adapter.pairs.get(tensor.name)
        if pair is not None or tensor.name in quantized:
            weight = _read(descriptor, source.offset, size, FLOATS[tensor.dtype]).view(tensor.shape)
            weight = quantized[tensor.name](weight) if tensor.name in quantized else weight
            _write(target, at, _merge_tensor(weight, pair, adapter.scale))
        elif tensor.dtype in ("F16", "F32"):
            _convert(descriptor, source.offset, size, FLOATS[tensor.dtype], target, at)
        else:
            _copy(descriptor, source.offset, target, at, size)
        progress.step(done)
    progress.close()
    return len(sources)
