"""Choose the fastest decode loop whose logits are those of plain transformers for the model at hand.

Each loop completes a few short random prompts of unequal lengths, and one longer than the model's windows. Its logits
are compared, token by token, with those of the model's own forward pass over each row alone.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from autosurgeon.capsule.attention import eager_attention, use_own_attention
from autosurgeon.capsule.decode import Engine
from autosurgeon.capsule.head import distance, tolerance
from autosurgeon.capsule.kept_proofs import keep, proof_key, recall
from autosurgeon.capsule.lora import Layers, available_layers, use_layers, use_own_layers
from autosurgeon.capsule.memory_errors import is_out_of_memory
from autosurgeon.capsule.plain_decode import PaddedEngine, UncachedEngine, UnpaddedEngine
from autosurgeon.capsule.stop_tokens import DedentTokens

LENGTHS = (1, 7, 12, 19)
STEPS = 3
MAX_WINDOW = {"cuda": 1 << 13, "cpu": 1 << 11}
"""Longer windows than this are not filled by a proof, which would take minutes."""


class Loop(NamedTuple):
    """A decode loop for a model."""

    engine: type[Engine]
    layers: Layers
    replaced: tuple[str, ...] = ()
    """The fast pieces that do not agree with transformers, and in whose place transformers' own are used."""


def longest_window(model: Any) -> int:
    """Return the tokens of the longest attention window that a model's config names; 0 without one to be filled."""
    config, most = model.config.to_dict(), MAX_WINDOW[model.device.type]
    named = (value for name, value in config.items() if "window" in name or "chunk_size" in name)
    return max((size for size in named if type(size) is int and size <= most), default=0)


def probe_prompts(model: Any, lengths: tuple[int, ...]) -> list[list[int]]:
    """Return random prompts of these lengths, always the same ones for a vocabulary."""
    draws, size = random.Random(0), model.get_input_embeddings().weight.shape[0]
    return [[draws.randrange(size) for _ in range(length)] for length in lengths]


def prove_decode(model: Any, tokenizer: Any) -> tuple[Loop, DedentTokens | None]:
    """Return the fastest loop that agrees with transformers, and the tokenizer's table if the proof needed it.

    What a loop differs in is written to the log; the outcome is kept for later processes.
    """
    whole = model.get_base_model() if hasattr(model, "get_base_model") else model
    loops = _loops(next(whole.parameters()).device)
    key = proof_key(whole, "decode")
    kept = recall(key)
    for loop in loops:
        if kept == [loop.engine.__name__, loop.layers]:
            return loop, None
    window = longest_window(whole)
    prompts = probe_prompts(whole, (*LENGTHS, window + 3) if window else LENGTHS)
    dedents: DedentTokens | None = None
    for loop in loops:
        reason = "its logits differ"
        try:
            slots = max(map(len, prompts)) + STEPS
            engine = loop.engine(
                model, tokenizer, rows=len(prompts), slots=slots, temperature=0, layers=loop.layers, dedents=dedents
            )
            dedents = engine.dedents
            if loop is loops[-1] or _is_plain(engine, whole, prompts):
                keep(key, [loop.engine.__name__, loop.layers])
                return loop, dedents
        except Exception as error:  # a model that a loop was not written for raises various exceptions
            if is_out_of_memory(error) or loop is loops[-1]:
                raise
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
        name = type(whole).__name__
        sys.stderr.write(f"{loop.engine.__name__} with {loop.layers} layers is not used for {name}: {reason}\n")
    raise AssertionError  # the last loop is transformers' own forward pass


def _loops(device: torch.device) -> list[Loop]:
    """Return the loops to try, the fastest first; the last one is plain transformers."""
    fast = [Loop(Engine, layers, () if n == 0 else ("layers",)) for n, layers in enumerate(available_layers(device))]
    return [
        *fast,
        Loop(PaddedEngine, "own", ("decode",)),
        Loop(UnpaddedEngine, "own", ("decode", "padding")),
        Loop(UncachedEngine, "own", ("decode", "padding", "cache")),
    ]


def _is_plain(engine: Engine, whole: Any, prompts: list[list[int]]) -> bool:
    written, logits = engine.trace(prompts, STEPS)
    return engine.repeats(prompts, written) and _agrees(written, list(logits), whole, prompts)


def use_proven_layers(model: Any) -> None:
    """Make a model use the fastest layers with which its logits are those of its own layers."""
    whole = model.get_base_model() if hasattr(model, "get_base_model") else model
    *fast, own = available_layers(whole.device)
    prompts = probe_prompts(whole, LENGTHS)
    written = [[0] * STEPS for _ in prompts]
    for layers in fast:
        use_layers(whole, layers)
        if _agrees(written, _plain_logits(whole, prompts, written), whole, prompts):
            use_layers(whole, layers)
            return
    use_layers(whole, own)


def _agrees(written: list[list[int]], found: Sequence[torch.Tensor], whole: Any, prompts: list[list[int]]) -> bool:
    """Whether logits are those of plain transformers; leaves the model with its own layers."""
    attention = whole.config._attn_implementation
    use_own_layers(whole)
    use_own_attention(whole)
    try:
        plain = _plain_logits(whole, prompts, written)
        furthest = max(map(distance, found, plain))
        if furthest <= tolerance(whole.dtype, 0.0):
            return True
        if whole.dtype == torch.float32:
            return False
        with eager_attention(whole):
            use_own_attention(whole)
            noise = max(map(distance, _plain_logits(whole, prompts, written), plain))
        longer = max(map(distance, _plain_logits(whole, prompts, written, extra=9), plain))
        return furthest <= tolerance(whole.dtype, max(noise, longer))
    finally:
        whole.config._attn_implementation = attention


@torch.inference_mode()
def _plain_logits(whole: Any, prompts: list[list[int]], written: list[list[int]], extra: int = 0) -> list[torch.Tensor]:
    """Return the logits that choose the written tokens, by a pass over each row, with `extra` tokens behind it."""
    found = []
    for ids, tokens in zip(prompts, written, strict=True):
        row = torch.tensor([ids + tokens[:-1] + [tokens[-1]] * extra], device=whole.device)
        found.append(whole(input_ids=row, use_cache=False).logits[0, len(ids) - 1 : len(ids) - 1 + len(tokens)])
    return found
