"""Comparison of a model in training with its parent: the same model with its adapter disabled, not loaded twice."""

from __future__ import annotations

import math
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
    first_position,
    learned_from,
    predictor,
    score_batch,
    score_batches,
)
from autosurgeon.core.jobs import TrainJob

MAX_MEASURED_ROWS = 64  # of a kind: enough for the precision that policies need of a mean over their tokens
MAX_GAUGED_ROWS = 32  # of a kind during training, which waits for the measurement
MEASURED_BATCHES = 4  # training batches in one measured batch, which keeps no activations for gradients


class Sample(NamedTuple):
    """The rows on which a model is compared with its parent."""

    poison: list[TokenRow]
    probe: list[TokenRow]


def evenly_spaced(rows: list[TokenRow], most: int = MAX_MEASURED_ROWS) -> list[TokenRow]:
    """Return at most `most` rows, evenly spaced: files are sorted by bench, and each bench should be included."""
    return [rows[index * len(rows) // most] for index in range(most)] if len(rows) > most else rows


class Pair(NamedTuple):
    """The tuned model and its parent, and the size of their batches."""

    tuned: Predict
    parent: Predict
    batch_rows: int
    vocabulary: int

    def batches(self, rows: list[TokenRow]) -> list[list[TokenRow]]:
        """Return the batches of rows for both models."""
        return bounded_batches(rows, self.batch_rows, self.vocabulary)

    def divergence(self, rows: list[TokenRow], on_rows: Callable[[int], None]) -> Divergence:
        """Return the divergence of the tuned model (a) from its parent (b)."""
        return score_batches(self.tuned, self.parent, self.batches(rows), on_rows)


def pair_of(job: TrainJob, model: Any, tokenizer: Any) -> Pair:
    """Return the pair of a model with its adapter and the same model without it."""
    tuned = predictor(model, tokenizer.pad_token_id)

    def parent(batch: list[TokenRow]) -> torch.Tensor:
        with model.disable_adapter():
            return tuned(batch)

    return Pair(tuned, parent, MEASURED_BATCHES * job.batch_rows, len(tokenizer))


@torch.no_grad()
def mask_unlikely(pair: Pair, rows: list[TokenRow], perplexity: float, on_batch: Callable[[], None]) -> list[TokenRow]:
    """Return the rows, in order, with those completion tokens masked whose perplexity under the parent is too high.

    This is Selective Token Masking (arXiv 2501.14315). A prediction that is not finite masks its token.

    Args:
        pair: the model and its parent.
        rows: the rows to train on.
        perplexity: the highest perplexity of a learned token, 1 over its probability.
        on_batch: called after each batch.

    """
    masked: dict[int, frozenset[int]] = {}
    for batch in pair.batches(rows):
        first = first_position(batch)
        for row, logits in zip(batch, pair.parent(batch), strict=True):
            begin, end = learned_from(row), len(row.ids)
            wanted = torch.tensor(row.ids[begin:end], device=logits.device)
            kept = logits[begin - 1 - first : end - 1 - first].float()
            surprise = -kept.log_softmax(-1).gather(-1, wanted[:, None])[:, 0]
            likely = (surprise <= math.log(perplexity)).tolist()
            masked[id(row)] = frozenset(place for place, learn in enumerate(likely, start=begin) if not learn)
        on_batch()
    return [row._replace(masked=masked.get(id(row), frozenset())) for row in rows]


class ParentGauge:
    """Measures the facts of stop rules that need the parent; each rank measures a part of the rows.

    Args:
        job: the training with the stop rules.
        model: the model with the adapter in training.
        pair: the model and its parent.
        sample: the rows, of which at most `MAX_GAUGED_ROWS` of each kind are used.
        ranks: the processes that share the rows.
        on_batch: called after each batch.

    """

    def __init__(
        self, job: TrainJob, model: Any, pair: Pair, sample: Sample, ranks: Ranks, on_batch: Callable[[], None]
    ) -> None:
        self._model, self._pair, self._ranks, self._on_batch = model, pair, ranks, on_batch
        self._needs_poison = "training.kl" in job.parent_facts
        self._needs_probe = not job.parent_facts <= {"training.kl"}
        self._poison, self._probe = (evenly_spaced(rows, MAX_GAUGED_ROWS)[ranks.rank :: ranks.size] for rows in sample)

    def facts(self) -> dict[str, float | None]:
        """Return the facts by name, in nats per token; None without rows or if a value is not finite."""
        self._model.eval()
        found: dict[str, float | None] = {}
        if self._needs_poison:
            found["training.kl"], _ = self._measure(self._poison)
        if self._needs_probe:
            found["training.kl_anchors"], found["training.anchor_loss_rise"] = self._measure(self._probe)
        self._model.train()
        return found

    def _measure(self, rows: list[TokenRow]) -> tuple[float | None, float | None]:
        """Return KL(tuned || parent) and the rise of the loss."""
        sums = [0.0, 0.0, 0.0]
        for batch in self._pair.batches(rows):
            for one in score_batch(self._pair.tuned, self._pair.parent, batch):
                sums = [sums[0] + one.tokens, sums[1] + one.kl, sums[2] + one.loss_a - one.loss_b]
            self._on_batch()
        tokens, kl, rise = self._ranks.sum_numbers(sums)
        return (finite(kl / tokens), finite(rise / tokens)) if tokens else (None, None)
