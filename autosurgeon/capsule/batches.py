"""Batches of rows as tensors: prompts are masked out of the loss, and rows of similar lengths are grouped."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from autosurgeon.capsule.tokenization import row_tokens
from autosurgeon.core.chat import Chat

IGNORED = -100  # the label that torch's cross-entropy ignores


class TokenRow(NamedTuple):
    """One tokenized row; the loss does not include the first `prompt_tokens` of `ids`."""

    ids: list[int]
    prompt_tokens: int
    is_anchor: bool = False
    """Whether a job's `kl_weight` applies to the row."""
    weight: float = 1.0
    """The weight of its tokens in the training loss."""
    masked: frozenset[int] = frozenset()
    """The positions of completion tokens that are not learned."""


def tokenize_rows(
    tokenizer: Any, rows: list[tuple[str, str]], max_tokens: int, chat: Chat | None = None
) -> list[TokenRow]:
    """Tokenize (prompt, completion) pairs, with the end token as part of the completion, truncated to `max_tokens`."""
    tokenized = []
    for prompt, completion in rows:
        ids, asked = row_tokens(tokenizer, chat, prompt, completion)
        tokenized.append(TokenRow(ids[:max_tokens], asked))
    return tokenized


def batches_by_length(rows: list[TokenRow], batch_rows: int, rng: random.Random) -> list[list[TokenRow]]:
    """Return batches of rows of similar lengths, with little padding, in random order.

    Rows are shuffled before the stable sort, so that rows of equal length are grouped differently in each epoch.
    """
    shuffled = rows[:]
    rng.shuffle(shuffled)
    shuffled.sort(key=lambda row: len(row.ids))
    batches = [shuffled[start : start + batch_rows] for start in range(0, len(shuffled), batch_rows)]
    rng.shuffle(batches)
    return batches


def predicted_tokens(row: TokenRow) -> int:
    """Return the number of predicted tokens: those of the completion, except the first of a row without a prompt."""
    return max(0, len(row.ids) - max(1, row.prompt_tokens))


def learned_tokens(row: TokenRow) -> int:
    """Return the number of learned tokens: the predicted ones that are not masked."""
    return predicted_tokens(row) - len(row.masked)


def anchor_tokens(row: TokenRow) -> int:
    """Return the number of predicted tokens of an anchor row; 0 for any other row."""
    return predicted_tokens(row) if row.is_anchor else 0


def shares_of(rows: Sequence[TokenRow], count: int) -> list[list[TokenRow]]:
    """Split rows into `count` parts of about equal tokens; some are empty if there are fewer rows than parts."""
    shares: list[list[TokenRow]] = [[] for _ in range(count)]
    loads = [0] * count
    for row in sorted(rows, key=lambda row: -len(row.ids)):
        least = loads.index(min(loads))
        shares[least].append(row)
        loads[least] += len(row.ids)
    return shares


def to_tensors(batch: list[TokenRow], pad_id: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Return `input_ids`, `attention_mask` and `labels`, each of shape (rows, longest), padded on the right."""
    width = max(len(row.ids) for row in batch)
    ids = torch.full((len(batch), width), pad_id)
    mask = torch.zeros((len(batch), width), dtype=torch.long)
    labels = torch.full((len(batch), width), IGNORED)
    for index, row in enumerate(batch):
        length = len(row.ids)
        ids[index, :length] = torch.tensor(row.ids)
        mask[index, :length] = 1
        labels[index, row.prompt_tokens : length] = torch.tensor(row.ids[row.prompt_tokens :])
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device), "labels": labels.to(device)}
