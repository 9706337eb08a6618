"""The decode loop for any causal model: transformers' own forward pass, without padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from autosurgeon.capsule.attention import cache_argument, use_own_attention
from autosurgeon.capsule.decode import Engine


class _Group:
    """Rows whose prompts are equally long.

    Args:
        places: their places in the batch; None for a row that has left it.
        ids: their tokens so far, (rows, tokens).

    """

    def __init__(self, places: list[int | None], ids: torch.Tensor) -> None:
        self.places, self.ids = places, ids
        self.cache: Any = None


class PlainEngine(Engine):
    """Completes batches as `Engine` does, each group of rows of one length by the model's own forward pass."""

    caches = True
    """Whether keys and values are kept from step to step, in the model's own cache."""

    def _allocate(self, rows: int, slots: int) -> None:
        use_own_attention(self._whole)
        self._groups: list[_Group] = []

    def _prompt_logits(self, ids_of_rows: Sequence[list[int]]) -> torch.Tensor:
        by_length: dict[int, list[int]] = {}
        for place, ids in enumerate(ids_of_rows):
            by_length.setdefault(len(ids), []).append(place)
        self._groups = [
            _Group(list(places), torch.tensor([ids_of_rows[place] for place in places], device=self._device))
            for places in by_length.values()
        ]
        return self._logits(len(ids_of_rows), [group.ids for group in self._groups])

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
            token = torch.tensor(last, device=self._device)[:, None]
            group.ids = torch.cat([group.ids, token], 1)
            fed.append(token if self.caches else group.ids)
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
        if not self.caches:
            last: torch.Tensor = self._whole(input_ids=ids, use_cache=False).logits[:, -1]
            return last
        name = cache_argument(self._whole)
        options = {} if group.cache is None else {name: group.cache}
        made = self._whole(input_ids=ids, use_cache=True, **options)
        group.cache = made[name]
        logits: torch.Tensor = made.logits[:, -1]
        return logits

    def _advance(self, count: int) -> None:
        self._forward(count)

    def _keep(self, kept: torch.Tensor) -> None:
        moved = {before: after for after, before in enumerate(kept.tolist())}
        for group in self._groups:
            group.places = [None if place is None else moved.get(place) for place in group.places]


class UncachedEngine(PlainEngine):
    """Completes batches as `PlainEngine` does, by a forward pass over the whole row for each token."""

    caches = False
