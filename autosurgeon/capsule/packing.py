"""Packing: rows beside each other in one sequence, with no padding, each attending to itself alone.

The linear layers see one long sequence. Attention puts the rows below each other, pads them there, and packs them
again: exact by construction, by torch's own causal kernel. On a GPU the same is one kernel for rows of any length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from autosurgeon.capsule.batches import TokenRow

NAME = "autosurgeon_packed"


def best_fit_decreasing(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Indices of lengths in bins of that capacity: the longest first, each where it leaves the least room.

    One that is longer than the capacity has a bin to itself. Ties go to the earlier, so that equal rows pack equally.
    """
    bins: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        fits = [place for place, left in enumerate(room) if left >= lengths[index]]
        if fits:
            place = min(fits, key=lambda place: (room[place], place))
            bins[place].append(index)
            room[place] -= lengths[index]
        else:
            bins.append([index])
            room.append(capacity - lengths[index])
    return bins


class Bounds(NamedTuple):
    """Where rows begin and end in a packed sequence, for the kernel that knows rows of any length."""

    ends: torch.Tensor
    """(rows + 1,) of 32-bit integers: 0, and each row's end; rows without a token are none."""
    longest: int

    def attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None) -> torch.Tensor:
        """(1, heads, tokens, size) of each to (1, tokens, heads, size)."""
        flat = (part[0].transpose(0, 1) for part in (query, key, value))
        sizes = (self.ends, self.ends, self.longest, self.longest)
        found: torch.Tensor = torch.ops.aten._flash_attention_forward(*flat, *sizes, 0.0, True, False, scale=scale)[0]
        return found[None]


class Layout(NamedTuple):
    """Where the tokens of a packed sequence stand when its rows are put below each other, padded on the right."""

    rows: int
    width: int
    scattered: torch.Tensor
    """(tokens,): place of each packed token among rows x width."""

    def attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None) -> torch.Tensor:
        """(1, heads, tokens, size) of each to (1, tokens, heads, size)."""
        shared = query.shape[1] != key.shape[1]
        query, key, value = self.apart(query), self.apart(key), self.apart(value)
        return self.together(
            scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale, enable_gqa=shared)
        )

    def apart(self, packed: torch.Tensor) -> torch.Tensor:
        """(1, heads, tokens, size) to (rows, heads, width, size)."""
        _, heads, _, size = packed.shape
        padded = packed.new_zeros(self.rows * self.width, heads, size)
        padded = padded.index_copy(0, self.scattered, packed[0].transpose(0, 1))
        return padded.view(self.rows, self.width, heads, size).transpose(1, 2)

    def together(self, padded: torch.Tensor) -> torch.Tensor:
        """(rows, heads, width, size) to (1, tokens, heads, size)."""
        _, heads, _, size = padded.shape
        flat = padded.transpose(1, 2).reshape(self.rows * self.width, heads, size)
        return flat.index_select(0, self.scattered)[None]


class Pack(NamedTuple):
    """Rows in one sequence, as plain numbers."""

    rows: Sequence[TokenRow]
    ids: list[int]
    positions: list[int]
    """From zero in every row."""
    predicting: list[int]
    """The places whose next token is learned."""
    targets: list[int]
    """Those tokens."""
    anchored: list[int]
    """The places of `predicting` that are of anchor rows."""
    scales: list[float]
    """The weight of each in the loss: that of its row."""


def make_pack(rows: Sequence[TokenRow]) -> Pack:
    """A pack of rows; what is learned of each is its completion."""
    pack = Pack(rows, [], [], [], [], [], [])
    for row in rows:
        start, first = len(pack.ids), max(1, row.prompt_tokens)
        predicting = range(start + first - 1, start + len(row.ids) - 1)
        pack.predicting.extend(predicting)
        pack.anchored.extend(predicting if row.is_anchor else ())
        pack.targets.extend(row.ids[first:])
        pack.scales.extend([row.weight] * len(row.ids[first:]))
        pack.ids.extend(row.ids)
        pack.positions.extend(range(len(row.ids)))
    return pack


def layout_of(lengths: Sequence[int], device: torch.device) -> Layout:
    """The layout of rows of those lengths."""
    width = max(lengths)
    scattered = [number * width + place for number, length in enumerate(lengths) for place in range(length)]
    return Layout(len(lengths), width, torch.tensor(scattered, device=device))


def attend_packed(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    layout: Layout | Bounds | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each row of a packed sequence; without a layout the whole sequence is one row."""
    if layout is not None:
        return layout.attend(query, key, value, scaling), None
    shared = query.shape[1] != key.shape[1]
    found = scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling, enable_gqa=shared)
    return found.transpose(1, 2), None


def use_packed_attention(model: Any) -> None:
    """Let the model attend by `attend_packed`; without a layout that is plain causal attention, padded on the right."""
    AttentionInterface.register(NAME, attend_packed)
    model.config._attn_implementation = NAME
