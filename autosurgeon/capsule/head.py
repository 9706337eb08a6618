"""The output layer of a model as the model itself applies it, with whatever bias, scale or cap it has."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

Head = Callable[[torch.Tensor], torch.Tensor]
"""Returns logits (rows, tokens, vocabulary) for states (rows, tokens, width)."""


class _Decoded:
    """The result of a decoder of which only the last states are known."""

    def __init__(self, states: torch.Tensor) -> None:
        self.last_hidden_state = states

    def __getitem__(self, place: int | slice) -> Any:
        return (self.last_hidden_state,)[place]

    def __getattr__(self, name: str) -> None:
        return None


def model_head(model: Any) -> Head:
    """Return the model's own forward pass after its decoder; TypeError if the model has no separate decoder."""
    decoder = model.get_decoder()
    if decoder is None or decoder is model:
        raise TypeError(f"{type(model).__name__} has no separate decoder")

    def head(states: torch.Tensor) -> torch.Tensor:
        ids = torch.zeros(states.shape[:2], dtype=torch.long, device=states.device)
        decoder.forward = lambda *_, **__: _Decoded(states)
        try:
            logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits
        finally:
            del decoder.forward
        return logits

    return head


def vocabulary_of(model: Any) -> int:
    """Return the number of logits of a place."""
    layer = model.get_output_embeddings()
    size: int = model.config.get_text_config(decoder=True).vocab_size if layer is None else layer.weight.shape[0]
    return size


def is_matrix(model: Any, head: Head) -> bool:
    """Whether the head is the product with the output layer's weight and nothing else."""
    weight = model.get_output_embeddings().weight
    draws = torch.Generator().manual_seed(0)
    states = torch.randn((1, 4, weight.shape[1]), generator=draws).to(weight.device, weight.dtype)
    with torch.no_grad():
        found, wanted = states @ weight.T, head(states)
    return distance(found, wanted) <= TOLERANCE[weight.dtype]


TOLERANCE = {torch.float32: 3e-4, torch.bfloat16: 0.02, torch.float16: 0.01}
"""The largest distance of two predictions of one product that rounding explains."""
NOISE = 3
"""Predictions of a whole model may differ by this times the distance between two of its own attention's orders."""

MOST = 0.5
"""No distance above this is rounding: two unrelated predictions are at 1.4."""


def distance(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Return the largest distance of logits (..., vocabulary) at a place, in parts of the spread of those wanted.

    It is zero where those wanted are not finite, as of a broken model, and infinite where the shapes differ.
    """
    if found.shape != wanted.shape:
        return math.inf
    exact = wanted.float()
    if not bool(exact.isfinite().all()):
        return 0.0
    spread = (exact - exact.mean(-1, keepdim=True)).norm(dim=-1).clamp(min=1e-6)
    away = float(((found.float() - exact).norm(dim=-1) / spread).max())
    return math.inf if math.isnan(away) else away


def tolerance(dtype: torch.dtype, noise: float) -> float:
    """Return the distance that rounding explains, for the distance of two equal computations in another order."""
    return min(TOLERANCE[dtype] + NOISE * noise, MOST)
