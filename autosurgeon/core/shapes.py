"""Shapes of a checkpoint's tensors, and the size of an adapter on them, from the headers alone; reads no weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from autosurgeon.core.tensorfile import read_header
from autosurgeon.errors import PackError

Shapes = Mapping[str, tuple[int, ...]]

# Matrices that are not linear layers, by their last module name in transformers' decoders, and the output layer, which
# a pass never adapts.
NOT_ADAPTED = frozenset(
    {"embed_tokens", "embed_positions", "embed_in", "word_embeddings", "token_type_embeddings", "wte", "wpe", "lm_head"}
)


def lora_parameters(shapes: Shapes, rank: int) -> int:
    """Return the parameters of a LoRA of `rank` on every linear layer except the output: rank * (in + out) each.

    The count is exact for decoders that store one matrix per linear layer, such as Llama, Qwen and Mistral; it is not
    for mixtures of experts, whose stored matrices transformers joins. Formula: Hu et al. 2021, LoRA, section 4.1.
    """
    return sum(rank * sum(shape) for name, shape in shapes.items() if len(shape) == 2 and _is_adapted(name))


def _is_adapted(name: str) -> bool:
    module, _, kind = name.rpartition(".")
    return kind == "weight" and module.rpartition(".")[2] not in NOT_ADAPTED


def lora_parameters_of(folder: Path, rank: int) -> int:
    """Return `lora_parameters` of a checkpoint folder; PackError as for `checkpoint_shapes`."""
    return lora_parameters(checkpoint_shapes(folder), rank)


def checkpoint_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a checkpoint, by name, from the headers of all its weight files.

    Raises:
        PackError: there is no weight file, or one is truncated, has trailing bytes or an inconsistent header.

    """
    return {tensor.name: tensor.shape for file in weight_files(folder) for tensor in read_header(file).tensors}


def weight_files(folder: Path) -> list[Path]:
    """Return the checkpoint's safetensors files, in order; PackError if there are none."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise PackError("a checkpoint has no safetensors weights", wanted="model.safetensors", where=folder)
    return files
