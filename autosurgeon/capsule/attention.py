"""Attention of the decode loop, by torch's own kernels: each row of a batch has a length of its own, and no padding.

Prompts are padded on the right, which causal attention never looks at, so that a row's numbers hang on no other row.
A single query is reshaped so that the heads which share a key are rows of one product: nothing is repeated in memory.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from autosurgeon.errors import UserError

NAME = "autosurgeon_decode"


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of queries (rows, heads, tokens, width) over keys (rows, key heads, length, width), heads last."""
    rows, heads, tokens, width = query.shape
    if tokens > 1 or attention_mask is None:
        shared = heads != key.shape[1]
        found = scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling, enable_gqa=shared)
        return found.transpose(1, 2), None
    grouped = query.view(rows, key.shape[1], heads // key.shape[1], width)
    found = scaled_dot_product_attention(grouped, key, value, attn_mask=attention_mask, scale=scaling)
    return found.reshape(rows, 1, heads, width), None


class Memory:
    """Keys and values of every layer, in buffers that never move; transformers takes it for a cache.

    Args:
        shape: (layers, rows, key heads, slots, width) of what is kept.
        dtype: of the model's activations.
        device: where it is.

    """

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
        self.keys, self.values = (torch.zeros(shape, dtype=dtype, device=device) for _ in range(2))
        self.lengths = torch.zeros(shape[1], dtype=torch.long, device=device)
        self._slots = torch.arange(shape[3], device=device)
        self._rows = torch.arange(shape[1], device=device)
        self.window = slice(0, shape[1])
        """The rows that the next forward pass is of."""

    def update(self, key: torch.Tensor, value: torch.Tensor, layer: int, *_: Any, **__: Any) -> Any:
        """Keep what a layer made of the tokens, and give it all that it may look at."""
        tokens, rows = key.shape[2], self.window
        if tokens > 1:
            self.keys[layer, rows, :, :tokens] = key
            self.values[layer, rows, :, :tokens] = value
            return key, value
        at = (self._rows[: key.shape[0]], slice(None), self.lengths[rows])
        self.keys[layer, rows][at] = key[:, :, 0]
        self.values[layer, rows][at] = value[:, :, 0]
        return self.keys[layer, rows], self.values[layer, rows]

    def mask(self) -> torch.Tensor:
        """(rows, 1, 1, slots): what each row of the window has, the token that is being made among it."""
        return (self._slots <= self.lengths[self.window, None])[:, None, None, :]

    def clear(self, rows: int) -> None:
        """Forget all that the first rows had: what is masked has weight 0, and 0 times what is no number is none."""
        self.keys[:, :rows].zero_()
        self.values[:, :rows].zero_()

    def spread(self, copies: torch.Tensor, tokens: int) -> None:
        """Let row n have what row `copies[n]` has of its first tokens."""
        for kept in (self.keys, self.values):
            for layer in kept:
                layer[: len(copies), :, :tokens] = layer[copies, :, :tokens]

    def keep(self, rows: torch.Tensor) -> None:
        """Move those rows to the front; the others are forgotten."""
        count = len(rows)
        for kept in (self.keys, self.values):
            kept[:, :count] = kept[:, rows]
        self.lengths[:count] = self.lengths[rows]
        self.window = slice(0, count)

    def get_seq_length(self, layer: int = 0) -> int:
        """Nothing is asked of it: positions are passed."""
        return 0

    @property
    def is_compileable(self) -> bool:
        """Its shapes never change."""
        return True


def use_decode_attention(model: Any) -> None:
    """Let the model attend by `attend`; UserError for one whose layers look at a part of what came before."""
    kinds = set(getattr(model.config, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"}:
        raise UserError("a model has layers that this engine does not know", got=sorted(kinds - {"full_attention"}))
    AttentionInterface.register(NAME, attend)
    model.config._attn_implementation = NAME


def memory_argument(decoder: Any) -> str:
    """The keyword by which a decoder takes its memory: transformers 5.24 has renamed it, and warns of the old name."""
    return "cache" if "cache" in inspect.signature(decoder.forward).parameters else "past_key_values"
