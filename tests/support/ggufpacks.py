"""Small checkpoints with random weights, whose files llama.cpp's format can be tried on without any tensor library."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from autosurgeon.config import shipped
from autosurgeon.core.tensorfile import padded_header

BASE = shipped("data", "lab", "base")
CONFIG: dict[str, Any] = {
    "model_type": "qwen2",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 24,
    "vocab_size": 736,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-6,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
    "eos_token_id": 1,
}


QWEN2: dict[str, Any] = {
    "type": "Sequence",
    "pretokenizers": [
        {
            "type": "Split",
            "pattern": {
                "Regex": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
                " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
            },
            "behavior": "Isolated",
            "invert": False,
        },
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
    ],
}
"""The pre_tokenizer of Qwen2, which transformers uses for each model of that type."""


def write_tokenizer(folder: Path, model_type: str) -> None:
    """Write the lab's tokenizer as transformers opens it beside a model of that type."""
    shutil.copy(BASE / "tokenizer_config.json", folder)
    content = json.loads((BASE / "tokenizer.json").read_text())
    if model_type == "qwen2":
        content |= {"pre_tokenizer": QWEN2, "normalizer": {"type": "NFC"}}
    (folder / "tokenizer.json").write_text(json.dumps(content))


def shapes_of(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """The tensors of a checkpoint of that config, as transformers names and shapes them."""
    wide, deep = config["hidden_size"], config["intermediate_size"]
    head = config.get("head_dim") or wide // config["num_attention_heads"]
    queries, keys = head * config["num_attention_heads"], head * config["num_key_value_heads"]
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (config["vocab_size"], wide)}
    for layer in range(config["num_hidden_layers"]):
        parts: dict[str, tuple[int, ...]] = {
            "input_layernorm.weight": (wide,),
            "post_attention_layernorm.weight": (wide,),
            "self_attn.q_proj.weight": (queries, wide),
            "self_attn.k_proj.weight": (keys, wide),
            "self_attn.v_proj.weight": (keys, wide),
            "self_attn.o_proj.weight": (wide, queries),
            "mlp.gate_proj.weight": (deep, wide),
            "mlp.up_proj.weight": (deep, wide),
            "mlp.down_proj.weight": (wide, deep),
        }
        if config["model_type"] == "qwen2":
            parts |= {
                f"self_attn.{name}_proj.bias": (size,) for name, size in zip("qkv", (queries, keys, keys), strict=True)
            }
        shapes |= {f"model.layers.{layer}.{name}": shape for name, shape in parts.items()}
    shapes["model.norm.weight"] = (wide,)
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (config["vocab_size"], wide)
    return shapes


def checkpoint(
    folder: Path, shapes: dict[str, tuple[int, ...]] | None = None, **changes: Any
) -> dict[str, NDArray[Any]]:
    """Write a checkpoint with the lab's tokenizer; its tensors' BF16 bits by name."""
    config = CONFIG | changes
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    write_tokenizer(folder, config["model_type"])
    named = shapes_of(config) if shapes is None else shapes
    random = numpy.random.default_rng(0)
    bits = {name: random.integers(0, 1 << 16, shape, dtype="<u2") for name, shape in named.items()}
    first, _ = padded_header([(name, "BF16", shape) for name, shape in named.items()])
    (folder / "model.safetensors").write_bytes(first + b"".join(tensor.tobytes() for tensor in bits.values()))
    return bits
