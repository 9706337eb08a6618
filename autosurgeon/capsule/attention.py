"""Attention and key-value cache of the decode loop, for rows of different lengths, with torch's own kernels.

Prompts are padded on the right, which causal attention ignores, so that a row's results depend on no other row. A
single query is reshaped so that the heads that share a key are rows of one product, without copies of keys.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

NAME = "autosurgeon_decode"


def attend_causally(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None, window: int | None
) -> torch.Tensor:
    """Attend from each token to itself and those before it, at most `window` tokens; all (rows, heads, tokens, width).

    Heads may share keys. A window that no row exceeds needs no mask, for which torch has a faster kernel.
    """
    shared, tokens = query.shape[1] != key.shape[1], query.shape[2]
    if window is None or window >= tokens:
        return scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale, enable_gqa=shared)
    places = torch.arange(tokens, device=query.device)
    ago = places[:, None] - places[None, :]
    inside = (ago >= 0) & (ago < window)
    return scaled_dot_product_attention(query, key, value, attn_mask=inside, scale=scale, enable_gqa=shared)


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attend from queries (rows, heads, tokens, width) to keys (rows, key heads, length, width), heads last."""
    rows, heads, tokens, width = query.shape
    if tokens > 1 or attention_mask is None:
        return attend_causally(query, key, value, scaling, sliding_window).transpose(1, 2), None
    if sliding_window is not None and sliding_window < key.shape[2]:
        slots = torch.arange(key.shape[2], device=key.device)
        attention_mask = attention_mask & (slots >= attention_mask.sum(-1, keepdim=True) - sliding_window)
    grouped = query.view(rows, key.shape[1], heads // key.shape[1], width)
    found = scaled_dot_product_attention(grouped, key, value, attn_mask=attention_mask, scale=scaling)
    return found.reshape(rows, 1, heads, width), None


class KeyValueCache:
    """Keys and values of every layer, in buffers with fixed addresses; implements the cache protocol of transformers.

    Args:
        shape: (layers, rows, key heads, slots, width).
        dtype: the type of the model's activations.
        device: the device of the buffers.

    """

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
        self.keys, self.values = (torch.zeros(shape, dtype=dtype, device=device) for _ in range(2))
        self.lengths = torch.zeros(shape[1], dtype=torch.long, device=device)
        self._slots = torch.arange(shape[3], device=device)
        self._rows = torch.arange(shape[1], device=device)
        self.window = slice(0, shape[1])
        """The rows of the next forward pass."""

    def update(self, key: torch.Tensor, value: torch.Tensor, layer: int, *_: Any, **__: Any) -> Any:
        """Store the keys and values of new tokens, and return all that the layer attends to."""
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
        """Return the mask (rows, 1, 1, slots) of the slots in use, including the token being generated."""
        return (self._slots <= self.lengths[self.window, None])[:, None, None, :]

    def clear(self, rows: int) -> None:
        """Zero the first rows: masked slots have weight 0, but 0 times a value that is not finite is not 0."""
        self.keys[:, :rows].zero_()
        self.values[:, :rows].zero_()

    def spread(self, copies: torch.Tensor, tokens: int) -> None:
        """Copy the first tokens of row `copies[n]` to row n."""
        for buffer in (self.keys, self.values):
            for layer in buffer:
                layer[: len(copies), :, :tokens] = layer[copies, :, :tokens]

    def keep(self, rows: torch.Tensor) -> None:
        """Move these rows to the front and drop the others."""
        count = len(rows)
        for buffer in (self.keys, self.values):
            buffer[:, :count] = buffer[:, rows]
        self.lengths[:count] = self.lengths[rows]
        self.window = slice(0, count)

    def get_seq_length(self, layer: int = 0) -> int:
        """Return 0; positions are passed explicitly."""
        return 0

    @property
    def is_compileable(self) -> bool:
        """Whether shapes are fixed: always."""
        return True


def use_attention(model: Any, name: str) -> None:
    """Make the model use a registered attention; `use_own_attention` reverts this."""
    model.__dict__.setdefault("own_attention", model.config._attn_implementation)
    model.config._attn_implementation = name


def use_own_attention(model: Any) -> None:
    """Restore the attention that transformers chose for the model."""
    model.config._attn_implementation = model.__dict__.get("own_attention", model.config._attn_implementation)


@contextlib.contextmanager
def eager_attention(model: Any) -> Iterator[None]:
    """Make `use_own_attention` choose transformers' eager attention, which differs from others in rounding alone."""
    use_own_attention(model)
    chosen = model.config._attn_implementation
    model.__dict__["own_attention"] = "eager"
    try:
        yield
    finally:
        model.__dict__["own_attention"] = chosen
        use_own_attention(model)


def use_decode_attention(model: Any) -> None:
    """Make the model use `attend`."""
    AttentionInterface.register(NAME, attend)
    use_attention(model, NAME)


def cache_argument(decoder: Any) -> str:
    """Return the keyword of a decoder's cache, which transformers 5.24 renamed; it warns about the old name."""
    return "cache" if "cache" in inspect.signature(decoder.forward).parameters else "past_key_values"
