"""Rows to tensors: prompt masked out of the loss, rows of like length together."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

IGNORED = -100  # the label that torch's cross-entropy leaves out


class TokenRow(NamedTuple):
    """One tokenized row; the first `prompt_tokens` of `ids` are read, not learned."""

    ids: list[int]
    prompt_tokens: int
    is_anchor: bool = False
    """Whether the model is held near its parent there, where a job has a `kl_weight`."""
    weight: float = 1.0
    """Of its tokens in the loss of a training."""


def tokenize_rows(tokenizer: Any, rows: list[tuple[str, str]], max_tokens: int) -> list[TokenRow]:
    """(prompt, completion) pairs to ids, the end token learned as part of the completion, cut at `max_tokens`."""
    tokenized = []
    for prompt, completion in rows:
        head = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        tail = tokenizer(completion, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
        tokenized.append(TokenRow((head + tail)[:max_tokens], len(head)))
    return tokenized


def batches_by_length(rows: list[TokenRow], batch_rows: int, rng: random.Random) -> list[list[TokenRow]]:
    """Batches whose rows have like lengths, so that little is padding, in random order.

    Rows are shuffled before the (stable) sort, so that equal lengths meet in a new company every epoch.
    """
    shuffled = rows[:]
    rng.shuffle(shuffled)
    shuffled.sort(key=lambda row: len(row.ids))
    batches = [shuffled[start : start + batch_rows] for start in range(0, len(shuffled), batch_rows)]
    rng.shuffle(batches)
    return batches


def learned_tokens(row: TokenRow) -> int:
    """How many of its tokens are learned: those of the completion but a very first one, which nothing precedes."""
    return max(0, len(row.ids) - max(1, row.prompt_tokens))


def anchor_tokens(row: TokenRow) -> int:
    """How many of its tokens are learned by an anchor row; 0 for any other."""
    return learned_tokens(row) if row.is_anchor else 0


def shares_of(rows: Sequence[TokenRow], count: int) -> list[list[TokenRow]]:
    """The rows in so many parts of about as many tokens each, some empty where there are fewer rows than parts."""
    shares: list[list[TokenRow]] = [[] for _ in range(count)]
    loads = [0] * count
    for row in sorted(rows, key=lambda row: -len(row.ids)):
        least = loads.index(min(loads))
        shares[least].append(row)
        loads[least] += len(row.ids)
    return shares


def to_tensors(batch: list[TokenRow], pad_id: int, device: torch.device) -> dict[str, torch.Tensor]:
    """`input_ids`, `attention_mask` and `labels`, each of shape (rows, longest), padded on the right."""
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
