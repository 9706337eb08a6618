from __future__ import annotations

from pathlib import Path

import pytest

from autosurgeon.core.shapes import checkpoint_shapes, lora_parameters
from autosurgeon.core.tensorfile import padded_header
from autosurgeon.errors import PackError

SHAPES = {
    "model.embed_tokens.weight": (100, 8),
    "model.layers.0.self_attn.q_proj.weight": (8, 8),
    "model.layers.0.self_attn.q_proj.bias": (8,),
    "model.layers.0.mlp.up_proj.weight": (24, 8),
    "model.norm.weight": (8,),
    "lm_head.weight": (100, 8),
}


def write_weights(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    first, header = padded_header([(name, "BF16", shape) for name, shape in shapes.items()])
    path.write_bytes(first.ljust(header.file_bytes, b"\0"))


def test_an_adapter_has_two_matrices_per_linear_layer_except_embeddings_norms_and_the_output() -> None:
    assert lora_parameters(SHAPES, 3) == 3 * (8 + 8) + 3 * (24 + 8)
    assert lora_parameters({}, 3) == 0


def test_a_checkpoint_in_several_files_has_the_shapes_of_all(tmp_path: Path) -> None:
    names = list(SHAPES)
    for number, part in enumerate((names[:2], names[2:]), start=1):
        write_weights(tmp_path / f"model-0000{number}-of-00002.safetensors", {name: SHAPES[name] for name in part})
    assert checkpoint_shapes(tmp_path) == SHAPES


def test_a_checkpoint_without_weights_or_with_truncated_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="no safetensors weights"):
        checkpoint_shapes(tmp_path)
    path = tmp_path / "model.safetensors"
    write_weights(path, SHAPES)
    whole = path.read_bytes()
    for length in (4, 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(PackError, match="cut short"):
            checkpoint_shapes(tmp_path)
