"""One training step: the loss and gradient of some rows, in as many packs as memory allows."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Literal

import torch

from autosurgeon.capsule.attention import use_own_attention
from autosurgeon.capsule.batches import TokenRow, anchor_tokens, learned_tokens
from autosurgeon.capsule.graph import GraphedPass
from autosurgeon.capsule.head import model_head, vocabulary_of
from autosurgeon.capsule.loss import HeadLosses, linear_cross_entropy, linear_divergence
from autosurgeon.capsule.memory_errors import is_out_of_memory
from autosurgeon.capsule.packing import (
    Bounds,
    Layout,
    Pack,
    best_fit_decreasing,
    layout_of,
    make_pack,
    use_packed_attention,
)
from autosurgeon.core.recipe import Loss

Passes = Literal["packed", "packed with the model's head", "single rows"]
"""Rows packed into one pass of the decoder, before a head that is a matrix or is applied by the model itself; or one
row per pass of the whole model, with its own attention."""


class Stepper:
    """Computes the gradients of a model with an adapter, pack by pack.

    A step that runs out of memory is repeated in packs of half the size, and at one row per pack with recomputed
    activations. The sum is the same, in another order. On a GPU a pack's passes are replayed from a graph, except
    those of packs with anchor rows if `kl_weight` is set, which are launched eagerly.

    Args:
        model: a causal model with an adapter.
        pack_tokens: the largest number of tokens of a pack, unless a row is longer.
        step_tokens: the average number of tokens of a step.
        longest: tokens of the longest row.
        kl_weight: the weight of the divergence from the parent on anchor rows, in the gradient.
        loss: the loss; `masked` differs from `plain` by the rows alone.
        passes: how rows are run through the model.

    """

    def __init__(
        self,
        model: Any,
        *,
        pack_tokens: int,
        step_tokens: float,
        longest: int,
        kl_weight: float = 0.0,
        loss: Loss = "plain",
        passes: Passes = "packed",
    ) -> None:
        inner = model.get_base_model()
        self._alone = passes == "single rows"
        (use_own_attention if self._alone else use_packed_attention)(inner)
        # A pass of the whole model ends in logits, to which nothing is applied.
        head = (lambda logits: logits) if self._alone else model_head(inner)
        self._losses = None if passes == "packed" else HeadLosses(head, vocabulary_of(inner), dft=loss == "dft")
        self._is_dft = loss == "dft"
        self._model, self._inner, self._kl_weight = model, inner, kl_weight
        self._weights = [weight for weight in model.parameters() if weight.requires_grad]
        self._device = next(inner.parameters()).device
        self._longest = longest
        self.pack_tokens = fitting_pack(step_tokens, pack_tokens, longest)
        self.checkpointed = False
        """Whether activations are recomputed."""
        recorded = self._device.type == "cuda" and not self._alone
        self._graphs = GraphedPass(self._loss, self._device) if recorded else None

    def zero(self) -> None:
        """Zero the gradient in place, because a graph writes to its memory."""
        for weight in self._weights:
            if weight.grad is not None:
                weight.grad.zero_()

    def prepare(self, rows: Sequence[TokenRow]) -> list[Pack]:
        """Return the rows in packs; this costs no time while the GPU computes the previous rows."""
        packs = best_fit_decreasing([len(row.ids) for row in rows], 0 if self._alone else self.pack_tokens)
        return [make_pack([rows[place] for place in places]) for places in packs]

    def backward(self, packs: Sequence[Pack], step: Sequence[TokenRow] | None = None) -> torch.Tensor:
        """Return the mean loss per learned token in nats, with its gradient in the weights' `grad`.

        A GPU may still be computing. The gradient, but not the loss, includes the divergence from the parent: weight x
        mean over the anchors' tokens. The weights of rows scale the sum and not the count, so that a step of rows with
        low weights is a small step.

        Args:
            packs: from `prepare`.
            step: the rows of the whole step, if these packs are only a part of it.

        """
        rows = [row for pack in packs for row in pack.rows] if step is None else step
        share = 1 / max(1, sum(map(learned_tokens, rows)))
        anchor_share = self._kl_weight / max(1, sum(map(anchor_tokens, rows)))
        while True:
            self.zero()
            try:
                return self._backward(packs, share, anchor_share)
            except RuntimeError as error:  # CUDA's libraries and a CPU's allocator have no specific type
                if not is_out_of_memory(error) or not self._can_use_less:
                    raise
            # Outside of the handler, where the error no longer keeps the activations alive.
            self._use_less()
            packs = self.prepare([row for pack in packs for row in pack.rows])

    def use(self, pack_tokens: int, *, checkpointed: bool) -> None:
        """Start with the limits that an earlier process reached."""
        self.pack_tokens = pack_tokens
        if checkpointed and not self.checkpointed:
            self._keep_fewer()

    def _backward(self, packs: Sequence[Pack], share: float, anchor_share: float) -> torch.Tensor:
        total = torch.zeros((), device=self._device)
        for pack in packs:
            if anchor_share and pack.anchored:
                total += self._eager_with_divergence(pack, share, anchor_share)
            elif self._graphs is not None and self._graphs.takes(pack, self.pack_tokens, self._longest):
                total += self._graphs.run(pack, self.pack_tokens, self._longest, share)
            else:
                total += self._eager(pack, share)
        return total

    def _eager(self, pack: Pack, share: float) -> torch.Tensor:
        predicting, targets = self._on_device(pack.predicting, pack.targets)
        loss = self._loss(*self._read(pack), predicting, targets, self._scales(pack)) * share
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _eager_with_divergence(self, pack: Pack, share: float, anchor_share: float) -> torch.Tensor:
        """Do as `_eager`, and add the gradient of `anchor_share` times the sum of divergences on anchors' tokens."""
        anchors = make_pack([row for row in pack.rows if row.is_anchor])
        (places,) = self._on_device(anchors.predicting)
        with torch.no_grad(), self._model.disable_adapter(), self._autocast():
            parent = self._states(*self._read(anchors)).index_select(0, places)
        predicting, targets, anchored = self._on_device(pack.predicting, pack.targets, pack.anchored)
        with self._autocast():
            states = self._states(*self._read(pack))
            loss = self._cross_entropy(states, predicting, targets, self._scales(pack)) * share
            divergence = self._divergence(states, anchored, parent) * anchor_share
        (loss + divergence).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _on_device(self, *numbers: Sequence[int]) -> list[torch.Tensor]:
        return [torch.tensor(some, dtype=torch.long, device=self._device) for some in numbers]

    def _scales(self, pack: Pack) -> torch.Tensor:
        return torch.tensor(pack.scales, dtype=torch.float32, device=self._device)

    def _read(self, pack: Pack) -> tuple[torch.Tensor, torch.Tensor, Layout]:
        ids, positions = self._on_device(pack.ids, pack.positions)
        return ids[None], positions[None], layout_of([len(row.ids) for row in pack.rows], self._device)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(
            self._device.type, torch.bfloat16, enabled=self._device.type == "cuda", cache_enabled=False
        )

    def _states(self, ids: torch.Tensor, positions: torch.Tensor, layout: Layout | Bounds) -> torch.Tensor:
        """Return the input of the output layer, (tokens, width), or the logits of a single row."""
        if self._alone:
            logits: torch.Tensor = self._inner(input_ids=ids, use_cache=False).logits[0]
            return logits
        decoder = self._inner.get_decoder()
        made = decoder(input_ids=ids, position_ids=positions, use_cache=False, layout=layout).last_hidden_state
        states: torch.Tensor = made[0]
        return states

    def _loss(
        self,
        ids: torch.Tensor,
        positions: torch.Tensor,
        layout: Layout | Bounds,
        predicting: torch.Tensor,
        targets: torch.Tensor,
        scales: torch.Tensor,
    ) -> torch.Tensor:
        """Return the sum of the losses of learned tokens, each times its row's weight."""
        with self._autocast():
            return self._cross_entropy(self._states(ids, positions, layout), predicting, targets, scales)

    def _cross_entropy(
        self, states: torch.Tensor, places: torch.Tensor, targets: torch.Tensor, scales: torch.Tensor
    ) -> torch.Tensor:
        if self._losses is not None:
            return self._losses.cross_entropy(states, places, targets, scales)
        weight = self._inner.get_output_embeddings().weight
        return linear_cross_entropy(states, places, weight, targets, scales, dft=self._is_dft)

    def _divergence(self, states: torch.Tensor, places: torch.Tensor, parent: torch.Tensor) -> torch.Tensor:
        if self._losses is not None:
            return self._losses.divergence(states, places, parent)
        return linear_divergence(states, places, self._inner.get_output_embeddings().weight, parent)

    @property
    def _can_use_less(self) -> bool:
        return (self.pack_tokens > self._longest and not self._alone) or not self.checkpointed

    def _use_less(self) -> None:
        """Halve the packs, which costs less time, or else recompute activations."""
        if self._graphs is not None:
            self._graphs.forget()
        torch.cuda.empty_cache()
        if self.pack_tokens > self._longest and not self._alone:
            self.pack_tokens = max(self._longest, self.pack_tokens // 2)
        else:
            self._keep_fewer()
        kept = "activations recomputed" if self.checkpointed else "activations kept"
        sys.stderr.write(f"out of memory: packs of {self.pack_tokens} tokens from here on, {kept}\n")

    def _keep_fewer(self) -> None:
        self.checkpointed = True
        keep_fewer_activations(self._inner)


def keep_fewer_activations(model: Any) -> None:
    """Recompute the activations of each layer instead of keeping them; transformers renames this before version 6."""
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable()


def fitting_pack(step_tokens: float, most: int, longest: int) -> int:
    """Return the size of packs, in tokens, that an average step fills almost completely.

    The size allows a twentieth more than the mean, because steps differ; a larger step has one pack more.
    """
    wanted = step_tokens * 1.05
    packs = -(-wanted // max(most, longest))
    return max(longest, min(most, -(-int(wanted / packs) // 64) * 64))
