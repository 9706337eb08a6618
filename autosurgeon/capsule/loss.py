"""Losses behind an output layer that is not trained, without ever holding the logits of all tokens.

Cross-entropy with the tokens that are learned, and divergence from what another model predicts at the same places.
"""

from __future__ import annotations

from typing import Any

import torch

CHUNK_LOGITS = 1 << 28
"""Logits of one chunk, in FP32: a GiB, and two passes over it."""


class _LinearCrossEntropy(torch.autograd.Function):
    """Sum of -log softmax(h W^T)[target] over places with a target of 0 or more, and its gradient by h on the way."""

    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        places: torch.Tensor,
        weight: torch.Tensor,
        targets: torch.Tensor,
        scales: torch.Tensor,
    ) -> torch.Tensor:
        """The loss in FP32 of states (tokens, width), weight (vocabulary, width), and (n,) each of the others."""
        hidden = states.index_select(0, places)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        gradient = torch.empty_like(hidden)
        step = max(1, CHUNK_LOGITS // weight.shape[0])
        for start in range(0, len(targets), step):
            part, target = slice(start, start + step), targets[start : start + step, None]
            counted, wanted = (target >= 0) * scales[part, None], target.clamp(min=0)
            surprise = (hidden[part] @ weight.T).log_softmax(-1, dtype=torch.float32)
            total -= (surprise.gather(-1, wanted) * counted).sum()
            # In place from here on: softmax, minus one at the target, is the gradient by the logits.
            surprise.exp_().scatter_add_(-1, wanted, -torch.ones_like(counted))
            gradient[part] = (surprise.to(weight.dtype) @ weight).mul_(counted)
        ctx.save_for_backward(gradient, places)
        ctx.shape = states.shape
        return total

    @staticmethod
    def backward(ctx: Any, outer: torch.Tensor) -> Any:
        """The gradient by the states; the others have none."""
        return _by_states(ctx, outer), None, None, None, None


def linear_cross_entropy(
    states: torch.Tensor, places: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, scales: torch.Tensor
) -> torch.Tensor:
    """Sum of the cross-entropies at those places, each times its scale, in nats, FP32; `weight` gets no gradient.

    A place that stands twice is counted twice; one whose target is negative counts nothing.
    """
    found = _LinearCrossEntropy.apply(states, places, weight, targets, scales)  # type: ignore[no-untyped-call]
    loss: torch.Tensor = found
    return loss


class _LinearDivergence(torch.autograd.Function):
    """Sum of KL(softmax(p W^T) || softmax(h W^T)) over places, and its gradient by h on the way."""

    @staticmethod
    def forward(
        ctx: Any, states: torch.Tensor, places: torch.Tensor, weight: torch.Tensor, parent: torch.Tensor
    ) -> torch.Tensor:
        """The sum in FP32 of states (tokens, width) at places (n,), weight (vocabulary, width), parent (n, width)."""
        hidden = states.index_select(0, places)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        gradient = torch.empty_like(hidden)
        step = max(1, CHUNK_LOGITS // 4 // weight.shape[0])  # of four such arrays
        for start in range(0, len(places), step):
            part = slice(start, start + step)
            wanted = (parent[part] @ weight.T).log_softmax(-1, dtype=torch.float32)
            found = (hidden[part] @ weight.T).log_softmax(-1, dtype=torch.float32)
            likely = wanted.exp()
            total += (likely * wanted.sub_(found)).sum()
            # In place: the difference of the two softmaxes is the gradient by the logits.
            gradient[part] = found.exp_().sub_(likely).to(weight.dtype) @ weight
        ctx.save_for_backward(gradient, places)
        ctx.shape = states.shape
        return total

    @staticmethod
    def backward(ctx: Any, outer: torch.Tensor) -> Any:
        """The gradient by the states; the others have none."""
        return _by_states(ctx, outer), None, None, None


def _by_states(ctx: Any, outer: torch.Tensor) -> torch.Tensor:
    gradient, places = ctx.saved_tensors
    by_states: torch.Tensor = gradient.new_zeros(ctx.shape)
    return by_states.index_add_(0, places, gradient * outer.to(gradient.dtype))


def linear_divergence(
    states: torch.Tensor, places: torch.Tensor, weight: torch.Tensor, parent: torch.Tensor
) -> torch.Tensor:
    """Sum of KL(parent || tuned) at those places, in nats, FP32; `weight` and `parent` get no gradient.

    Args:
        states: of the tuned model before its output layer, (tokens, width).
        places: among them, (n,).
        weight: of the output layer, which both models have, (vocabulary, width).
        parent: the parent's states at the same places, (n, width).

    """
    found: torch.Tensor = _LinearDivergence.apply(states, places, weight, parent)  # type: ignore[no-untyped-call]
    return found
