"""A checkpoint of Qwen2's shape, tiny and random, with the lab's tokenizer: an organ that wins nothing."""

from __future__ import annotations

import json
import math
import random
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

from builders import weights_file

from autosurgeon.config import shipped

HIDDEN, LAYERS, HEADS, KEY_VALUE_HEADS, INTERMEDIATE, VOCABULARY = 64, 2, 4, 2, 128, 734


def write_tiny_organ(folder: Path) -> Path:
    """BF16 weights in one file, config and tokenizer; made without torch."""
    folder.mkdir(parents=True)
    draws = random.Random(0)
    tensors = {}
    for name, shape in _shapes():
        count = math.prod(shape)
        values = [1.0] * count if "norm" in name else [draws.gauss(0, 0.05) for _ in range(count)]
        tensors[name] = ("BF16", shape, b"".join(struct.pack("<f", value)[2:] for value in values))
    (folder / "model.safetensors").write_bytes(weights_file(tensors))
    config = {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "dtype": "bfloat16",
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KEY_VALUE_HEADS,
        "intermediate_size": INTERMEDIATE,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
        "eos_token_id": 1,
        "pad_token_id": 0,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(shipped("data", "lab", "base") / name, folder / name)
    return folder


def _shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    narrow = HIDDEN * KEY_VALUE_HEADS // HEADS
    yield "model.embed_tokens.weight", (VOCABULARY, HIDDEN)
    for layer in (f"model.layers.{number}" for number in range(LAYERS)):
        for part, width in (("q", HIDDEN), ("k", narrow), ("v", narrow)):
            yield f"{layer}.self_attn.{part}_proj.weight", (width, HIDDEN)
            yield f"{layer}.self_attn.{part}_proj.bias", (width,)
        yield f"{layer}.self_attn.o_proj.weight", (HIDDEN, HIDDEN)
        for part in ("gate", "up"):
            yield f"{layer}.mlp.{part}_proj.weight", (INTERMEDIATE, HIDDEN)
        yield f"{layer}.mlp.down_proj.weight", (HIDDEN, INTERMEDIATE)
        for part in ("input", "post_attention"):
            yield f"{layer}.{part}_layernorm.weight", (HIDDEN,)
    yield "model.norm.weight", (HIDDEN,)
