"""A checkpoint's model in the form of llama.cpp: its hyperparameters, and the name and order of its tensors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from autosurgeon.core.tensorfile import Header
from autosurgeon.errors import PackError
from autosurgeon.packs.gguf_vocabulary import read_json

ARCHITECTURES = ("llama", "qwen2")
"""The `model_type`s that can be exported; llama.cpp uses the same names."""
_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_ALONE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
# Settings that change the arithmetic, with the values that llama.cpp supports.
_PLAIN: dict[str, tuple[object, ...]] = {
    "hidden_act": ("silu", None),
    "use_sliding_window": (None, False),
    "rope_scaling": (None,),
    "partial_rotary_factor": (None, 1, 1.0),
}


class Shape(NamedTuple):
    """The hyperparameters that llama.cpp needs besides the tensors."""

    architecture: str
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head: int
    """The size of a head."""
    vocabulary: int
    context: int
    epsilon: float
    theta: float
    tied: bool
    attention_biases: tuple[str, ...]
    mlp_bias: bool


class Placed(NamedTuple):
    """A tensor's place in the file."""

    name: str
    source: str
    shape: tuple[int, ...]
    heads: int
    """The number of heads whose rows are interleaved; 0 if the rows keep their order."""


def read_shape(folder: Path) -> Shape:
    """Return the hyperparameters of the model in a checkpoint folder; PackError names what cannot be exported."""
    path = folder / "config.json"
    config = read_json(path)
    architecture = config.get("model_type")
    if architecture not in ARCHITECTURES:
        raise PackError(
            "a model of this architecture cannot be exported", got=architecture, wanted=ARCHITECTURES, where=path
        )
    for key, allowed in _PLAIN.items():
        if config.get(key) not in allowed:
            raise PackError(f"a model's {key} cannot be exported", got=config[key], wanted=allowed[0], where=path)
    # transformers 5 writes `rope_parameters`, earlier versions `rope_theta`.
    rope = config.get("rope_parameters") or {"rope_theta": config.get("rope_theta", 10_000.0)}
    if rope.get("rope_type", "default") != "default" or rope.get("partial_rotary_factor") not in (None, 1, 1.0):
        raise PackError(
            "a model's rope_parameters cannot be exported", got=rope, wanted="rope_type default", where=path
        )
    try:
        return _shape(architecture, config, float(rope["rope_theta"]))
    except (KeyError, TypeError, ValueError) as error:
        wanted = "all sizes of the model, as numbers"
        raise PackError("a checkpoint's config is incomplete", got=repr(error), wanted=wanted, where=path) from error


def _shape(architecture: str, config: dict[str, Any], theta: float) -> Shape:
    heads, qwen = int(config["num_attention_heads"]), architecture == "qwen2"
    biased = ("q_proj", "k_proj", "v_proj") if qwen else ("q_proj", "k_proj", "v_proj", "o_proj")
    return Shape(
        architecture=architecture,
        layers=int(config["num_hidden_layers"]),
        hidden=int(config["hidden_size"]),
        intermediate=int(config["intermediate_size"]),
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head=int(config.get("head_dim") or int(config["hidden_size"]) // heads),
        vocabulary=int(config["vocab_size"]),
        context=int(config["max_position_embeddings"]),
        epsilon=float(config["rms_norm_eps"]),
        theta=theta,
        tied=bool(config.get("tie_word_embeddings", False)),
        attention_biases=biased if qwen or config.get("attention_bias") else (),
        mlp_bias=bool(config.get("mlp_bias", False)),
    )


def place_tensors(shape: Shape, header: Header, where: Path) -> list[Placed]:
    """Return the model's tensors in the file's order; PackError names a missing, foreign or reshaped one."""
    found = {tensor.name: tensor for tensor in header.tensors}
    # transformers uses the head that is in the file, whatever `tie_word_embeddings` is.
    placed = list(_wanted(shape, has_head="lm_head.weight" in found or not shape.tied))
    for tensor in placed:
        one = found.pop(tensor.source, None)
        if one is None:
            raise PackError("a model lacks a tensor", got=f"no {tensor.source}", where=where)
        if one.shape != tensor.shape:
            raise PackError(f"{tensor.source} has another shape", got=one.shape, wanted=tensor.shape, where=where)
        if one.dtype != "BF16":
            raise PackError("a pack's weights are BF16", got=f"{one.name}: {one.dtype}", where=where)
    if found:
        raise PackError("a tensor does not belong to this architecture", got=min(found), where=where)
    return placed


def _wanted(shape: Shape, *, has_head: bool) -> Iterator[Placed]:
    wide, vocabulary = shape.hidden, (shape.vocabulary, shape.hidden)
    for source, size in (("model.embed_tokens", vocabulary), ("model.norm", (wide,)), ("lm_head", vocabulary)):
        if source != "lm_head" or has_head:
            yield Placed(f"{_ALONE[source]}.weight", f"{source}.weight", size, 0)
    outputs = {
        "q_proj": (shape.heads * shape.head, wide),
        "k_proj": (shape.kv_heads * shape.head, wide),
        "v_proj": (shape.kv_heads * shape.head, wide),
        "o_proj": (wide, shape.heads * shape.head),
        "gate_proj": (shape.intermediate, wide),
        "up_proj": (shape.intermediate, wide),
        "down_proj": (wide, shape.intermediate),
    }
    # For Llama, llama.cpp rotates neighbouring rows of a head, and transformers rows half a head apart.
    interleaved = {"q_proj": shape.heads, "k_proj": shape.kv_heads} if shape.architecture == "llama" else {}
    for layer in range(shape.layers):
        for source, target in _LAYER.items():
            last = source.rpartition(".")[2]
            name, place = f"blk.{layer}.{target}", f"model.layers.{layer}.{source}"
            yield Placed(f"{name}.weight", f"{place}.weight", outputs.get(last, (wide,)), interleaved.get(last, 0))
            if last in shape.attention_biases or (shape.mlp_bias and source.startswith("mlp.")):
                yield Placed(f"{name}.bias", f"{place}.bias", outputs[last][:1], interleaved.get(last, 0))
