"""The decode loop for any causal model, by transformers' own forward pass."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch

from autosurgeon.capsule.attention import cache_argument, use_own_attention
from autosurgeon.capsule.decode import Engine
from autosurgeon.capsule.prefill import portions


class _Group:
    """Rows that share a pass.

    Args:
        places: their places in the batch; None for a row that has left it.
        prompts: their tokens, which are padded on the left.
        device: the model's device.

    """

    def __init__(self, places: Sequence[int], prompts: Sequence[list[int]], device: torch.device) -> None:
        self.places: list[int | None] = list(places)
        width = max(map(len, prompts))
        padded = [[0] * (width - len(ids)) + ids for ids in prompts]
        used = [[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts]
        self.ids, self.used = torch.tensor(padded, device=device), torch.tensor(used, device=device)
        self.is_padded = any(len(ids) < width for ids in prompts)
        self.cache: Any = None

    def add(self, token: torch.Tensor) -> torch.Tensor:
        """Append a token to each row, and return the tokens as a column."""
        column = token[:, None]
        self.ids = torch.cat([self.ids, column], 1)
        self.used = torch.cat([self.used, torch.ones_like(column)], 1)
        return column


class PaddedEngine(Engine):
    """Completes batches as `Engine` does, by the model's own attention and cache, with prompts padded on the left."""

    caches = True
    """Whether keys and values are kept from step to step, in the model's own cache."""

    def _allocate(self, rows: int, slots: int) -> None:
        use_own_attention(self._whole)
        self._groups: list[_Group] = []
        self._accepted = inspect.signature(self._whole.forward).parameters.keys()

    def _prompt_logits(self, ids_of_rows: Sequence[list[int]]) -> torch.Tensor:
        self._groups = [
            _Group(places, [ids_of_rows[place] for place in places], self._device)
            for places in self._grouped(ids_of_rows)
        ]
        return self._logits(len(ids_of_rows), [group.ids for group in self._groups])

    def _grouped(self, ids_of_rows: Sequence[list[int]]) -> list[list[int]]:
        """Return the places of the rows of each pass."""
        return [list(range(start, end)) for start, end in portions(ids_of_rows)]

    def _next_logits(self, count: int) -> torch.Tensor:
        ended = self._ended[:count].tolist()
        self._groups = [g for g in self._groups if any(p is not None and not ended[p] for p in g.places)]
        fed = []
        for group in self._groups:
            # A row that has left the batch repeats its last token, which no other row sees.
            last = [
                int(ids[-1]) if place is None else int(self._token[place])
                for place, ids in zip(group.places, group.ids, strict=True)
            ]
            column = group.add(torch.tensor(last, device=self._device))
            fed.append(column if self.caches else group.ids)
        return self._logits(count, fed)

    def _logits(self, count: int, fed: list[torch.Tensor]) -> torch.Tensor:
        """Return the logits after these tokens of each group, (count, vocabulary); zeros for ended rows."""
        logits: torch.Tensor | None = None
        for group, ids in zip(self._groups, fed, strict=True):
            made = self._pass(group, ids)
            if logits is None:
                logits = made.new_zeros(count, made.shape[-1])
            here = [index for index, place in enumerate(group.places) if place is not None]
            logits[[place for place in group.places if place is not None]] = made[here]
        return torch.zeros(count, 1, device=self._device) if logits is None else logits

    def _pass(self, group: _Group, ids: torch.Tensor) -> torch.Tensor:
        options: dict[str, Any] = {"input_ids": ids, "use_cache": self.caches}
        if group.is_padded:
            options["attention_mask"] = group.used
            if "position_ids" in self._accepted:
                options["position_ids"] = (group.used.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        if "logits_to_keep" in self._accepted:
            options["logits_to_keep"] = 1
        name = cache_argument(self._whole)
        if group.cache is not None:
            options[name] = group.cache
        made = self._whole(**options)
        if self.caches:
            group.cache = made[name]
        logits: torch.Tensor = made.logits[:, -1]
        return logits

    def _advance(self, count: int) -> None:
        self._forward(count)

    def _keep(self, kept: torch.Tensor) -> None:
        moved = {before: after for after, before in enumerate(kept.tolist())}
        for group in self._groups:
            group.places = [None if place is None else moved.get(place) for place in group.places]


class UnpaddedEngine(PaddedEngine):
    """Completes batches as `PaddedEngine` does, with a pass for the rows of each length and no padding."""

    def _grouped(self, ids_of_rows: Sequence[list[int]]) -> list[list[int]]:
        by_length: dict[int, list[int]] = {}
        for place, ids in enumerate(ids_of_rows):
            by_length.setdefault(len(ids), []).append(place)
        return list(by_length.values())


class UncachedEngine(UnpaddedEngine):
    """Completes batches as `UnpaddedEngine` does, by a pass over the whole row for each token."""

    caches = False
