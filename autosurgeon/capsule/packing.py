"""Sequence packing: several rows in one sequence without padding, each of which attends only to itself.

The linear layers process one long sequence. Attention unpacks the rows into a padded batch, uses torch's causal kernel,
and packs them again, which is exact. On a GPU one kernel handles rows of any length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from transformers import AttentionInterface

from autosurgeon.capsule.attention import attend_causally, use_attention
from autosurgeon.capsule.batches import TokenRow

NAME = "autosurgeon_packed"


def best_fit_decreasing(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Return bins of indices: the longest length first, each in the bin where it leaves the least room.

    A length above the capacity has its own bin. The earlier bin wins ties, so that equal rows are packed equally.
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
    """The bounds of rows in a packed sequence, for the kernel for rows of any length."""

    ends: torch.Tensor
    """(rows + 1,) 32-bit integers: 0, and each row's end; empty rows do not count."""
    longest: int

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None, window: int | None
    ) -> torch.Tensor:
        """Attend from and to (1, heads, tokens, size) each, and return (1, tokens, heads, size)."""
        flat = (part[0].transpose(0, 1) for part in (query, key, value))
        sizes = (self.ends, self.ends, self.longest, self.longest)
        # A window includes the token itself, which the kernel does not count.
        sides = (
            {} if window is None or window >= self.longest else {"window_size_left": window - 1, "window_size_right": 0}
        )
        found: torch.Tensor = torch.ops.aten._flash_attention_forward(
            *flat, *sizes, 0.0, True, False, scale=scale, **sides
        )[0]
        return found[None]


class Layout(NamedTuple):
    """The positions of a packed sequence's tokens in a batch of its rows, padded on the right."""

    rows: int
    width: int
    scattered: torch.Tensor
    """(tokens,): the index of each packed token in rows x width."""

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None, window: int | None
    ) -> torch.Tensor:
        """Attend from and to (1, heads, tokens, size) each, and return (1, tokens, heads, size)."""
        return self.pack(attend_causally(self.unpack(query), self.unpack(key), self.unpack(value), scale, window))

    def unpack(self, packed: torch.Tensor) -> torch.Tensor:
        """Convert (1, heads, tokens, size) to (rows, heads, width, size)."""
        _, heads, _, size = packed.shape
        padded = packed.new_zeros(self.rows * self.width, heads, size)
        padded = padded.index_copy(0, self.scattered, packed[0].transpose(0, 1))
        return padded.view(self.rows, self.width, heads, size).transpose(1, 2)

    def pack(self, padded: torch.Tensor) -> torch.Tensor:
        """Convert (rows, heads, width, size) to (1, tokens, heads, size)."""
        _, heads, _, size = padded.shape
        flat = padded.transpose(1, 2).reshape(self.rows * self.width, heads, size)
        return flat.index_select(0, self.scattered)[None]


class Pack(NamedTuple):
    """Rows in one sequence, as lists of numbers."""

    rows: Sequence[TokenRow]
    ids: list[int]
    positions: list[int]
    """Positions within each row, from zero."""
    predicting: list[int]
    """The places whose next token is predicted."""
    targets: list[int]
    """The tokens to predict, or -1 where a token is masked."""
    anchored: list[int]
    """The places of `predicting` in anchor rows."""
    scales: list[float]
    """The weight of each target in the loss, from its row."""


def make_pack(rows: Sequence[TokenRow]) -> Pack:
    """Pack rows; the completion of each is learned, except its masked tokens."""
    pack = Pack(rows, [], [], [], [], [], [])
    for row in rows:
        start, first = len(pack.ids), max(1, row.prompt_tokens)
        predicting = range(start + first - 1, start + len(row.ids) - 1)
        pack.predicting.extend(predicting)
        pack.anchored.extend(predicting if row.is_anchor else ())
        pack.targets.extend(-1 if place in row.masked else row.ids[place] for place in range(first, len(row.ids)))
        pack.scales.extend([row.weight] * len(row.ids[first:]))
        pack.ids.extend(row.ids)
        pack.positions.extend(range(len(row.ids)))
    return pack


def layout_of(lengths: Sequence[int], device: torch.device) -> Layout:
    """Return the layout of rows of these lengths."""
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
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attend causally within each row of a packed sequence; without a layout the whole sequence is one row."""
    if layout is not None:
        return layout.attend(query, key, value, scaling, sliding_window), None
    return attend_causally(query, key, value, scaling, sliding_window).transpose(1, 2), None


def use_packed_attention(model: Any) -> None:
    """Make the model use `attend_packed`; without a layout that is plain causal attention for right padding."""
    AttentionInterface.register(NAME, attend_packed)
    use_attention(model, NAME)
