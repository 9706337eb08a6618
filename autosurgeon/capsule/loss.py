"""Losses after a frozen output layer, computed without the logits of all tokens in memory at once.

They are the cross-entropy of the learned tokens, and the divergence from another model's predictions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import kl_div
from torch.utils.checkpoint import checkpoint

from autosurgeon.capsule.head import Head

CHUNK_LOGITS = 1 << 28
"""Logits of one chunk: one GiB in FP32, with two passes over it."""


class _LinearCrossEntropy(torch.autograd.Function):
    """The sum of -log softmax(h W^T)[target] over places with a target of at least 0, and its gradient for h."""

    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        places: torch.Tensor,
        weight: torch.Tensor,
        targets: torch.Tensor,
        scales: torch.Tensor,
        dft: bool,
    ) -> torch.Tensor:
        """Return the FP32 loss for states (tokens, width), weight (vocabulary, width) and the others of shape (n,)."""
        hidden = states.index_select(0, places)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        gradient = torch.empty_like(hidden)
        step = max(1, CHUNK_LOGITS // weight.shape[0])
        for start in range(0, len(targets), step):
            part, target = slice(start, start + step), targets[start : start + step, None]
            counted, wanted = (target >= 0) * scales[part, None], target.clamp(min=0)
            surprise = (hidden[part] @ weight.T).log_softmax(-1, dtype=torch.float32)
            likelihood = surprise.gather(-1, wanted)
            total -= (likelihood * counted).sum()
            if dft:
                counted = counted * likelihood.exp()
            # In place: the softmax minus one at the target is the gradient of the logits.
            surprise.exp_().scatter_add_(-1, wanted, -torch.ones_like(counted))
            gradient[part] = (surprise.to(weight.dtype) @ weight).mul_(counted)
        ctx.save_for_backward(gradient, places)
        ctx.shape = states.shape
        return total

    @staticmethod
    def backward(ctx: Any, outer: torch.Tensor) -> Any:
        """Return the gradient of the states; the others have none."""
        return _states_gradient(ctx, outer), None, None, None, None, None


def linear_cross_entropy(
    states: torch.Tensor,
    places: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    scales: torch.Tensor,
    *,
    dft: bool = False,
) -> torch.Tensor:
    """Return the sum of the cross-entropies at the places, each times its scale, in nats, FP32.

    `weight` gets no gradient. A repeated place counts repeatedly; a place with a negative target does not count. With
    `dft` the gradient, but not the sum, has each place times the probability of its target (arXiv 2508.05629).
    """
    found = _LinearCrossEntropy.apply(states, places, weight, targets, scales, dft)  # type: ignore[no-untyped-call]
    loss: torch.Tensor = found
    return loss


class _LinearDivergence(torch.autograd.Function):
    """The sum of KL(softmax(p W^T) || softmax(h W^T)) over places, and its gradient for h."""

    @staticmethod
    def forward(
        ctx: Any, states: torch.Tensor, places: torch.Tensor, weight: torch.Tensor, parent: torch.Tensor
    ) -> torch.Tensor:
        """Return the sum for states (tokens, width), places (n,), weight (vocabulary, width) and parent (n, width)."""
        hidden = states.index_select(0, places)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        gradient = torch.empty_like(hidden)
        step = max(1, CHUNK_LOGITS // 4 // weight.shape[0])  # four such arrays are in memory
        for start in range(0, len(places), step):
            part = slice(start, start + step)
            wanted = (parent[part] @ weight.T).log_softmax(-1, dtype=torch.float32)
            found = (hidden[part] @ weight.T).log_softmax(-1, dtype=torch.float32)
            likely = wanted.exp()
            total += (likely * wanted.sub_(found)).sum()
            # In place: the difference of the two softmaxes is the gradient of the logits.
            gradient[part] = found.exp_().sub_(likely).to(weight.dtype) @ weight
        ctx.save_for_backward(gradient, places)
        ctx.shape = states.shape
        return total

    @staticmethod
    def backward(ctx: Any, outer: torch.Tensor) -> Any:
        """Return the gradient of the states; the others have none."""
        return _states_gradient(ctx, outer), None, None, None


def _states_gradient(ctx: Any, outer: torch.Tensor) -> torch.Tensor:
    gradient, places = ctx.saved_tensors
    by_states: torch.Tensor = gradient.new_zeros(ctx.shape)
    return by_states.index_add_(0, places, gradient * outer.to(gradient.dtype))


def linear_divergence(
    states: torch.Tensor, places: torch.Tensor, weight: torch.Tensor, parent: torch.Tensor
) -> torch.Tensor:
    """Return the sum of KL(parent || tuned) at the places, in nats, FP32; `weight` and `parent` get no gradient.

    Args:
        states: the tuned model's states before its output layer, (tokens, width).
        places: indices into the states, (n,).
        weight: the output layer's weight, shared by both models, (vocabulary, width).
        parent: the parent's states at the same places, (n, width).

    """
    found: torch.Tensor = _LinearDivergence.apply(states, places, weight, parent)  # type: ignore[no-untyped-call]
    return found


class HeadLosses:
    """The same losses after an output layer that is more than a matrix, a chunk of logits in memory at a time.

    Args:
        head: the output layer.
        vocabulary: the number of logits of a place.
        dft: whether the gradient of the cross-entropy is that of dynamic fine-tuning.

    """

    def __init__(self, head: Head, vocabulary: int, *, dft: bool = False) -> None:
        self._dft = dft
        self._head, self._step = head, max(1, CHUNK_LOGITS // 4 // vocabulary)

    def cross_entropy(
        self, states: torch.Tensor, places: torch.Tensor, targets: torch.Tensor, scales: torch.Tensor
    ) -> torch.Tensor:
        """Return what `linear_cross_entropy` returns."""
        return self._sum(self._surprise, states.index_select(0, places), targets, scales)

    def divergence(self, states: torch.Tensor, places: torch.Tensor, parent: torch.Tensor) -> torch.Tensor:
        """Return what `linear_divergence` returns."""
        return self._sum(self._distance, states.index_select(0, places), parent)

    def _sum(self, of: Any, states: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        total: torch.Tensor = states.float().sum() * 0
        for start in range(0, len(states), self._step):
            parts = [values[start : start + self._step] for values in (states, *others)]
            total = total + checkpoint(of, *parts, use_reentrant=False, preserve_rng_state=False)
        return total

    def _log_probabilities(self, states: torch.Tensor) -> torch.Tensor:
        return self._head(states[None])[0].log_softmax(-1, dtype=torch.float32)

    def _surprise(self, states: torch.Tensor, targets: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
        logs, counted = self._log_probabilities(states), (targets >= 0) * scales
        wanted = logs.gather(-1, targets.clamp(min=0)[:, None])[:, 0]
        if self._dft:  # the value of the cross-entropy, with the gradient times the probability
            weighted = wanted * wanted.detach().exp()
            wanted = weighted + (wanted - weighted).detach()
        return -(wanted * counted).sum()

    def _distance(self, states: torch.Tensor, parent: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            wanted = self._log_probabilities(parent)
        return kl_div(self._log_probabilities(states), wanted, log_target=True, reduction="sum")
