"""The divergence of two models on given text: teacher-forced, over completion tokens, row by row.

With teacher forcing each token is predicted from the true tokens before it, so that the predictions are comparable and
one forward pass of each model covers a batch. Only two batches of logits are in memory, at completion positions.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from autosurgeon.capsule.batches import TokenRow, to_tensors
from autosurgeon.errors import PackError

MAX_BATCH_LOGITS = 1 << 27  # positions x vocabulary of a batch: half a GiB in FP32
MAX_CHUNK_LOGITS = 1 << 24  # positions x vocabulary converted to FP32 probabilities at a time

Predict = Callable[[list[TokenRow]], torch.Tensor]
"""Returns the logits of a batch, of shape (rows, kept, vocabulary): the positions from `first_position` on."""


class RowScore(NamedTuple):
    """Sums over one row's completion tokens, in nats; not finite where a model's numbers are not."""

    tokens: int
    kl: float
    loss_a: float
    loss_b: float
    flips: int


class Divergence(NamedTuple):
    """Means over all completion tokens, in nats per token; None without tokens or if a value is not finite."""

    rows: int = 0
    tokens: int = 0
    kl: float | None = None
    largest_kl: float | None = None
    loss_a: float | None = None
    loss_b: float | None = None
    flips: int = 0
    flipped_rows: int = 0


def learned_from(row: TokenRow) -> int:
    """Return the first predicted position: that of the completion, but at least 1, because nothing precedes 0."""
    return max(1, row.prompt_tokens)


def first_position(batch: list[TokenRow]) -> int:
    """Return the first position whose logits predict a completion token of any row."""
    return min(learned_from(row) for row in batch) - 1


def predictor(model: Any, pad_id: int) -> Predict:
    """Return the function that computes a batch's logits by this model, at as few positions as the model supports."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    can_keep = "logits_to_keep" in inspect.signature(inner.forward).parameters

    def predict(batch: list[TokenRow]) -> torch.Tensor:
        tensors = to_tensors(batch, pad_id, model.device)
        kept = tensors["input_ids"].shape[1] - first_position(batch)
        options = {"logits_to_keep": kept} if can_keep else {}
        logits: torch.Tensor = model(
            input_ids=tensors["input_ids"], attention_mask=tensors["attention_mask"], use_cache=False, **options
        ).logits
        return logits[:, -kept:]

    return predict


def bounded_batches(rows: list[TokenRow], batch_rows: int, vocabulary: int) -> list[list[TokenRow]]:
    """Return batches of rows of similar lengths, of at most `batch_rows` rows and `MAX_BATCH_LOGITS` logits.

    A row above the bound is a batch of its own; a row without completion tokens is in no batch.
    """
    batches: list[list[TokenRow]] = []
    for row in sorted(rows, key=lambda row: len(row.ids)):
        if learned_from(row) >= len(row.ids):
            continue  # truncated before its completion
        size = len(batches[-1]) + 1 if batches else 0
        if not batches or size > batch_rows or size * len(row.ids) * vocabulary > MAX_BATCH_LOGITS:
            batches.append([])
        batches[-1].append(row)
    return batches


@torch.no_grad()
def score_batch(a: Predict, b: Predict, batch: list[TokenRow]) -> list[RowScore]:
    """Return one score per row, in order; PackError if the models' vocabularies differ in size."""
    logits_a, logits_b = a(batch), b(batch)
    if logits_a.shape != logits_b.shape:
        raise PackError("two models have different vocabularies", got=logits_b.shape[-1], wanted=logits_a.shape[-1])
    first = first_position(batch)
    scores = []
    for row, row_a, row_b in zip(batch, logits_a, logits_b, strict=True):
        begin, end = learned_from(row), len(row.ids)
        span = slice(begin - 1 - first, end - 1 - first)
        scores.append(_score_row(row_a[span], row_b[span], torch.tensor(row.ids[begin:end], device=row_a.device)))
    return scores


def _score_row(logits_a: torch.Tensor, logits_b: torch.Tensor, target: torch.Tensor) -> RowScore:
    """Return the sums over a row's positions, by chunks; logits of shape (positions, vocabulary), of any float type."""
    step = max(1, MAX_CHUNK_LOGITS // logits_a.shape[-1])
    total = torch.zeros(4, dtype=torch.float64, device=logits_a.device)
    for start in range(0, len(target), step):
        part, wanted = slice(start, start + step), target[start : start + step, None]
        (top_a, best_a), (top_b, best_b) = logits_a[part].max(-1), logits_b[part].max(-1)
        log_a, log_b = logits_a[part].float().log_softmax(-1), logits_b[part].float().log_softmax(-1)
        # Rounding can make the divergence of almost equal models slightly negative.
        kl = functional.kl_div(log_b, log_a, log_target=True, reduction="none").sum(-1).clamp(min=0)
        # A position with logits that are not finite has no best token, and counts as flipped to be safe.
        flipped = (best_a != best_b) | ~(top_a.isfinite() & top_b.isfinite())
        sums = (kl, -log_a.gather(-1, wanted), -log_b.gather(-1, wanted), flipped)
        total += torch.stack([values.double().sum() for values in sums])
    kl_sum, loss_a, loss_b, flips = total.tolist()
    return RowScore(len(target), kl_sum, loss_a, loss_b, int(flips))


def score_batches(
    a: Predict, b: Predict, batches: list[list[TokenRow]], on_rows: Callable[[int], None] = lambda done: None
) -> Divergence:
    """Return the divergence of a from b over the batches; `on_rows` receives the number of rows done after each."""

    def scores() -> Iterator[RowScore]:
        done = 0
        for batch in batches:
            yield from score_batch(a, b, batch)
            done += len(batch)
            on_rows(done)

    return average(scores())


def average(scores: Iterable[RowScore]) -> Divergence:
    """Return the means over the tokens of all rows."""
    rows = list(scores)
    if not rows:
        return Divergence()
    tokens = sum(row.tokens for row in rows)
    row_means = [row.kl / row.tokens for row in rows]
    return Divergence(
        rows=len(rows),
        tokens=tokens,
        kl=finite(sum(row.kl for row in rows) / tokens),
        # The maximum of numbers that include NaN depends on their order.
        largest_kl=max(row_means) if all(map(math.isfinite, row_means)) else None,
        loss_a=finite(sum(row.loss_a for row in rows) / tokens),
        loss_b=finite(sum(row.loss_b for row in rows) / tokens),
        flips=sum(row.flips for row in rows),
        flipped_rows=sum(row.flips > 0 for row in rows),
    )


def finite(value: float) -> float | None:
    """Return the value if it is finite, and None otherwise."""
    return value if math.isfinite(value) else None
