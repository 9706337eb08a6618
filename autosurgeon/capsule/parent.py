"""A model in training held against its parent, which is the same one with its adapter disabled: no second load."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from autosurgeon.capsule.batches import TokenRow
from autosurgeon.capsule.distributed import Ranks
from autosurgeon.capsule.divergence import (
    Divergence,
    Predict,
    bounded_batches,
    finite,
    predictor,
    score_batch,
    score_batches,
)
from autosurgeon.core.jobs import TrainJob

MAX_MEASURED_ROWS = 64  # of a kind: a mean over their tokens moves by less than what a policy would act on
MAX_GAUGED_ROWS = 32  # the same while training goes on, which waits for it
MEASURED_BATCHES = 4  # batches of training in one of measuring, which keeps no activations for gradients


class Sample(NamedTuple):
    """The rows that a model is held against its parent on."""

    poison: list[TokenRow]
    probe: list[TokenRow]


def evenly_spaced(rows: list[TokenRow], most: int = MAX_MEASURED_ROWS) -> list[TokenRow]:
    """At most `most` of the rows, over all of their order: files are sorted by bench, and each should be there."""
    return [rows[index * len(rows) // most] for index in range(most)] if len(rows) > most else rows


class Pair(NamedTuple):
    """The tuned model and its parent, and in what batches they are asked."""

    tuned: Predict
    parent: Predict
    batch_rows: int
    vocabulary: int

    def batches(self, rows: list[TokenRow]) -> list[list[TokenRow]]:
        """The rows as both are asked for them."""
        return bounded_batches(rows, self.batch_rows, self.vocabulary)

    def held_apart(self, rows: list[TokenRow], on_rows: Callable[[int], None]) -> Divergence:
        """How far the tuned model (a) is from its parent (b)."""
        return score_batches(self.tuned, self.parent, self.batches(rows), on_rows)


def pair_of(job: TrainJob, model: Any, tokenizer: Any) -> Pair:
    """A model with an adapter on top, and the same without it."""
    tuned = predictor(model, tokenizer.pad_token_id)

    def parent(batch: list[TokenRow]) -> torch.Tensor:
        with model.disable_adapter():
            return tuned(batch)

    return Pair(tuned, parent, MEASURED_BATCHES * job.batch_rows, len(tokenizer))


class ParentGauge:
    """What stop rules ask of a model in training that its losses do not tell; each process takes a part of the rows.

    Args:
        job: whose stop rules ask.
        model: with the adapter that is trained.
        pair: the same against its parent.
        sample: rows of either kind, of which some are taken.
        ranks: who takes a part of them.
        on_batch: called after each batch.

    """

    def __init__(
        self, job: TrainJob, model: Any, pair: Pair, sample: Sample, ranks: Ranks, on_batch: Callable[[], None]
    ) -> None:
        self._model, self._pair, self._ranks, self._on_batch = model, pair, ranks, on_batch
        self._asks_poison = "training.kl" in job.parent_facts
        self._asks_probe = not job.parent_facts <= {"training.kl"}
        self._poison, self._probe = (evenly_spaced(rows, MAX_GAUGED_ROWS)[ranks.rank :: ranks.size] for rows in sample)

    def facts(self) -> dict[str, float | None]:
        """Facts by name, in nats per token; None where there is no row or a number is not finite."""
        self._model.eval()
        found: dict[str, float | None] = {}
        if self._asks_poison:
            found["training.kl"], _ = self._apart(self._poison)
        if self._asks_probe:
            found["training.kl_anchors"], found["training.anchor_loss_rise"] = self._apart(self._probe)
        self._model.train()
        return found

    def _apart(self, rows: list[TokenRow]) -> tuple[float | None, float | None]:
        """KL(tuned || parent), and the rise of the loss."""
        sums = [0.0, 0.0, 0.0]
        for batch in self._pair.batches(rows):
            for one in score_batch(self._pair.tuned, self._pair.parent, batch):
                sums = [sums[0] + one.tokens, sums[1] + one.kl, sums[2] + one.loss_a - one.loss_b]
            self._on_batch()
        tokens, kl, rise = self._ranks.sum_up(sums)
        return (finite(kl / tokens), finite(rise / tokens)) if tokens else (None, None)
