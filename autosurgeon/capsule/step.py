"""One step of training: the loss and gradient of some rows, in as many packs as memory wants."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch

from autosurgeon.capsule.batches import TokenRow, anchor_tokens, learned_tokens
from autosurgeon.capsule.graph import GraphedPass
from autosurgeon.capsule.loss import linear_cross_entropy, linear_divergence
from autosurgeon.capsule.oom import is_out_of_memory
from autosurgeon.capsule.packing import (
    Bounds,
    Layout,
    Pack,
    best_fit_decreasing,
    layout_of,
    make_pack,
    use_packed_attention,
)
from autosurgeon.errors import UserError

UNKNOWN_HEADS = ("final_logit_softcapping", "logits_scaling", "logit_scale")


class Stepper:
    """Gradients of a model with an adapter, whatever fits of a step at a time.

    A step that runs out of memory is done again in packs of half the size; with a row a pack, activations are made
    twice instead of kept. The sum is the same, in another order. On a GPU a pack's passes are replayed from a graph,
    but for a pack with anchor rows where the model is held to its parent on these: its passes are launched one by one.

    Args:
        model: a causal model with an adapter on top.
        pack_tokens: tokens of a pack at most, unless a row is longer.
        step_tokens: tokens that a step has on average.
        longest: tokens of the longest row.
        kl_weight: of the divergence from the parent on anchor rows, in the gradient.

    """

    def __init__(
        self, model: Any, *, pack_tokens: int, step_tokens: float, longest: int, kl_weight: float = 0.0
    ) -> None:
        inner = model.get_base_model()
        for name in UNKNOWN_HEADS:
            if getattr(inner.config, name, None) not in (None, 1, 1.0):
                raise UserError("a model's output layer is not one that training knows", got=name)
        use_packed_attention(inner)
        self._model, self._inner, self._kl_weight = model, inner, kl_weight
        self._weights = [weight for weight in model.parameters() if weight.requires_grad]
        self._device = next(inner.parameters()).device
        self._longest = longest
        self.pack_tokens = fitting_pack(step_tokens, pack_tokens, longest)
        self.checkpointed = False
        """Whether activations are made twice."""
        self._graphs = GraphedPass(self._loss, self._device) if self._device.type == "cuda" else None

    def zero(self) -> None:
        """Forget the gradient; its memory stays where it is, since a graph writes there."""
        for weight in self._weights:
            if weight.grad is not None:
                weight.grad.zero_()

    def prepare(self, rows: Sequence[TokenRow]) -> list[Pack]:
        """The rows in packs; while the GPU is busy with the rows before them, this costs nothing."""
        packs = best_fit_decreasing([len(row.ids) for row in rows], self.pack_tokens)
        return [make_pack([rows[place] for place in places]) for places in packs]

    def backward(self, packs: Sequence[Pack], step: Sequence[TokenRow] | None = None) -> torch.Tensor:
        """The mean loss per learned token in nats, its gradient in the weights' `grad`; a GPU may still be at it.

        The gradient, and not the loss, has the divergence from the parent in it: weight x mean over anchors' tokens.
        Rows' weights scale the sum and not the count: a step of light rows is a small step, whatever it stands beside.

        Args:
            packs: of `prepare`.
            step: rows of the whole step, where these packs are but a part of it.

        """
        rows = [row for pack in packs for row in pack.rows] if step is None else step
        share = 1 / max(1, sum(map(learned_tokens, rows)))
        pull = self._kl_weight / max(1, sum(map(anchor_tokens, rows)))
        while True:
            self.zero()
            try:
                return self._backward(packs, share, pull)
            except RuntimeError as error:  # CUDA's libraries and a CPU's allocator have no type of their own for it
                if not is_out_of_memory(error) or not self._can_use_less:
                    raise
            # Here, where the error is gone, and with it the activations that it kept alive.
            self._use_less()
            packs = self.prepare([row for pack in packs for row in pack.rows])

    def use(self, pack_tokens: int, *, checkpointed: bool) -> None:
        """Begin with what an earlier process came down to."""
        self.pack_tokens = pack_tokens
        if checkpointed and not self.checkpointed:
            self._keep_fewer()

    def _backward(self, packs: Sequence[Pack], share: float, pull: float) -> torch.Tensor:
        total = torch.zeros((), device=self._device)
        for pack in packs:
            if pull and pack.anchored:
                total += self._tethered(pack, share, pull)
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

    def _tethered(self, pack: Pack, share: float, pull: float) -> torch.Tensor:
        """The same, and the gradient of `pull` times the divergence from the parent, summed over anchors' tokens."""
        anchors = make_pack([row for row in pack.rows if row.is_anchor])
        (places,) = self._on_device(anchors.predicting)
        with torch.no_grad(), self._model.disable_adapter(), self._autocast():
            parent = self._states(*self._read(anchors)).index_select(0, places)
        predicting, targets, anchored = self._on_device(pack.predicting, pack.targets, pack.anchored)
        with self._autocast():
            states, weight = self._states(*self._read(pack)), self._inner.get_output_embeddings().weight
            loss = linear_cross_entropy(states, predicting, weight, targets, self._scales(pack)) * share
            divergence = linear_divergence(states, anchored, weight, parent) * pull
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
        """What goes into the output layer, (tokens, width)."""
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
        """The sum of the losses of what is learned, each times its row's weight."""
        with self._autocast():
            states = self._states(ids, positions, layout)
            head = self._inner.get_output_embeddings().weight
            return linear_cross_entropy(states, predicting, head, targets, scales)

    @property
    def _can_use_less(self) -> bool:
        return self.pack_tokens > self._longest or not self.checkpointed

    def _use_less(self) -> None:
        """Make packs smaller, which costs less time, or keep fewer activations."""
        if self._graphs is not None:
            self._graphs.forget()
        torch.cuda.empty_cache()
        if self.pack_tokens > self._longest:
            self.pack_tokens = max(self._longest, self.pack_tokens // 2)
        else:
            self._keep_fewer()
        kept = "activations made twice" if self.checkpointed else "activations kept"
        sys.stderr.write(f"out of memory: packs of {self.pack_tokens} tokens from here on, {kept}\n")

    def _keep_fewer(self) -> None:
        self.checkpointed = True
        keep_fewer_activations(self._inner)


def keep_fewer_activations(model: Any) -> None:
    """Make the activations of each layer twice and keep none; transformers renamed this on the way to its version 6."""
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable()


def fitting_pack(step_tokens: float, most: int, longest: int) -> int:
    """The size of packs, in tokens, that a step of about so many fills with little room left.

    A twentieth more than the mean, since steps differ; a step that needs more has a pack more.
    """
    wanted = step_tokens * 1.05
    packs = -(-wanted // max(most, longest))
    return max(longest, min(most, -(-int(wanted / packs) // 64) * 64))
