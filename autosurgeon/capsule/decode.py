"""The decode loop: generates tokens for a batch of prompts, step by step, from a CUDA graph on a GPU.

On a GPU a step is one launch, independent of the number of layers; no step waits for the host, which checks only every
`CHECK_EVERY`th; and rows that have ended leave the batch when it can shrink to a power of two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from autosurgeon.capsule.attention import KeyValueCache, cache_argument, use_decode_attention
from autosurgeon.capsule.head import model_head, vocabulary_of
from autosurgeon.capsule.lora import Layers, use_layers
from autosurgeon.capsule.prefill import distinct, portions
from autosurgeon.capsule.stop_tokens import DedentTokens
from autosurgeon.capsule.tokenization import answer_text, last_contexts
from autosurgeon.core.answers import cut
from autosurgeon.core.chat import end_block

CHECK_EVERY = {"cuda": 16, "cpu": 1}
SLOT_STEP = {"cuda": 256, "cpu": 8}
"""The number of slots is a multiple of this, so that more jobs share the recorded graphs."""
SMALLEST_BATCH = 8


class Row(NamedTuple):
    """One answer to generate."""

    ids: list[int]
    """The tokens of the prompt."""
    stops_at_dedent: bool
    seed: int
    """The seed of this answer's draws; unused at temperature 0."""
    name: str = ""
    """The function that has to end, if the answer may define others before it; see `cut`."""
    in_block: bool = False
    """Whether the answer ends with its code block instead."""
    continues: bool = False
    stops: tuple[str, ...] = ()
    """As for `cut`."""

    def cut(self, text: str) -> str:
        """Return an answer up to its end; text after it does not change the result."""
        if self.in_block:
            return end_block(text, self.name)
        return cut(text, self.stops_at_dedent, self.name, self.continues, self.stops)


class Answer(NamedTuple):
    """A generated answer."""

    text: str
    tokens: int


class Engine:
    """Completes batches of at most `rows` prompts; the model's weights may change between batches, in place.

    Args:
        model: a causal model, with or without an adapter.
        tokenizer: its tokenizer.
        rows: the largest number of rows of a batch.
        slots: tokens of the longest prompt and its answer.
        temperature: 0 decodes greedily.
        layers: the forward pass of the model's layers.
        dedents: the table of this tokenizer and vocabulary, if known; a large one takes a second to build.

    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        rows: int,
        slots: int,
        temperature: float,
        layers: Layers = "fused",
        dedents: DedentTokens | None = None,
    ) -> None:
        whole = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._whole, self._tokenizer, self._layers = whole, tokenizer, layers
        self._device = next(whole.parameters()).device
        self.configure(temperature, adapted=whole is not model)
        slots = self._slots_for(slots)
        self._allocate(rows, slots)
        self._ends = torch.tensor(sorted(_end_tokens(whole, tokenizer)), device=self._device)
        self.dedents = dedents or DedentTokens(tokenizer, vocabulary_of(whole), self._device)
        self._check_every = CHECK_EVERY[self._device.type]
        self._graphs: dict[tuple[int, float, bool], torch.cuda.CUDAGraph] = {}
        self._rows, self._slots = rows, slots
        self._token = torch.zeros(rows, dtype=torch.long, device=self._device)
        self._ended, self._suspect = (torch.zeros(rows, dtype=torch.bool, device=self._device) for _ in range(2))
        self._step = torch.zeros(1, dtype=torch.long, device=self._device)
        self._written = torch.zeros((rows, slots), dtype=torch.long, device=self._device)
        self._draws = torch.zeros((rows, slots), device=self._device)

    def _allocate(self, rows: int, slots: int) -> None:
        """Prepare the model's attention, head and cache."""
        use_decode_attention(self._whole)
        self._decoder, self._head = self._whole.get_decoder(), model_head(self._whole)
        config = self._whole.config.get_text_config(decoder=True)
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        key_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        shape = (config.num_hidden_layers, rows, key_heads, slots, width)
        self._cache = KeyValueCache(shape, next(self._whole.parameters()).dtype, self._device)
        self._cache_option = {cache_argument(self._decoder): self._cache}

    def _slots_for(self, tokens: int) -> int:
        step = SLOT_STEP[self._device.type]
        return -(-tokens // step) * step

    def takes(self, rows: int, slots: int) -> bool:
        """Whether this engine answers batches of that size exactly as an engine built for them.

        Additional rows change no result; additional slots might, through a kernel's order of summation.
        """
        return rows <= self._rows and self._slots_for(slots) == self._slots

    def configure(self, temperature: float, *, adapted: bool) -> None:
        """Set the temperature, and whether the model now has an adapter."""
        self._temperature, self._adapted = temperature, adapted
        use_layers(self._whole, self._layers)  # each time, because a new adapter adds layers to the model

    def end_also_at(self, token: int | None) -> None:
        """End answers at this token too, and, without one, only at those that the model and its tokenizer name."""
        ends = sorted(_end_tokens(self._whole, self._tokenizer) | (set() if token is None else {token}))
        if ends != self._ends.tolist():
            self._ends = torch.tensor(ends, device=self._device)
            self._graphs.clear()

    @torch.inference_mode()
    def complete(
        self, rows: Sequence[Row], max_new_tokens: int, on_step: Callable[[int], None] = lambda ended: None
    ) -> list[Answer]:
        """Return the answers to a batch, in order; `on_step` regularly receives the number of ended rows."""
        self._contexts = last_contexts(self._tokenizer, [row.ids for row in rows])
        self._begin(rows, max_new_tokens)
        answers: list[Answer | None] = [None] * len(rows)
        places = list(range(len(rows)))  # of the rows that are still in the batch
        for step in range(1, max_new_tokens):
            if step % self._check_every == 0:
                self._end_functions(rows, places)
                ended = self._ended[: len(places)].tolist()
                on_step(len(rows) - ended.count(False))
                if all(ended):
                    break
                places = self._shrink(rows, places, ended, answers)
            self._advance(len(places))
        self._end_functions(rows, places)
        for place, answer in zip(places, self._read(rows, places), strict=True):
            answers[place] = answer
        return [answer for answer in answers if answer is not None]

    @torch.inference_mode()
    def trace(self, prompts: Sequence[list[int]], steps: int) -> tuple[list[list[int]], torch.Tensor]:
        """Return the first tokens after each prompt, and the logits that chose them: (rows, steps, vocabulary)."""
        self._reset([Row(ids, False, 0) for ids in prompts], steps)
        logits = [self._prompt_logits(prompts)]
        rows = slice(0, len(prompts))
        self._choose(logits[0], rows)
        while len(logits) < steps:
            self._step += 1
            logits.append(self._next_logits(len(prompts)))
            self._choose(logits[-1], rows)
        return self._written[rows, :steps].tolist(), torch.stack(logits, 1)

    def repeats(self, prompts: Sequence[list[int]], written: list[list[int]]) -> bool:
        """Whether a batch of these prompts, which a GPU runs from graphs, has the tokens that `trace` has written."""
        steps = len(written[0])
        self.complete([Row(ids, False, 0) for ids in prompts], steps)
        return bool(self._written[: len(prompts), :steps].tolist() == written)

    def _begin(self, rows: Sequence[Row], max_new_tokens: int) -> None:
        """Process the prompts, and choose each row's first token."""
        self._reset(rows, max_new_tokens)
        self._choose(self._prompt_logits([row.ids for row in rows]), slice(0, len(rows)))

    def _reset(self, rows: Sequence[Row], max_new_tokens: int) -> None:
        self._ended[:] = False
        self._suspect[:] = False
        self._step[:] = 0
        if self._temperature > 0:
            for index, row in enumerate(rows):
                draws = torch.rand(max_new_tokens, generator=torch.Generator().manual_seed(row.seed))
                self._draws[index, :max_new_tokens] = draws.to(self._device)

    def _prompt_logits(self, ids_of_rows: Sequence[list[int]]) -> torch.Tensor:
        """Process the prompts in portions, and return the logits of each row's first token."""
        count = len(ids_of_rows)
        self._cache.lengths[:count] = torch.tensor([len(ids) for ids in ids_of_rows], device=self._device)
        prompts, prompt_of_row = distinct(ids_of_rows)
        self._cache.clear(count)
        read = [self._prefill(prompts[start:end], start) for start, end in portions(prompts)]
        hidden = torch.cat(read) if len(read) > 1 else read[0]
        if len(prompts) < count:
            copies = torch.tensor(prompt_of_row, device=self._device)
            self._cache.spread(copies, max(len(ids) for ids in prompts))
            hidden = hidden[copies]
        self._cache.window = slice(0, count)
        return self._head(hidden[:, None])[:, 0]

    def _prefill(self, prompts: Sequence[list[int]], start: int) -> torch.Tensor:
        """Fill the cache's rows from `start` on, and return the last hidden state of each prompt."""
        # At least two tokens, because the attention treats a single one as a step of decoding.
        width = max(2, max(len(ids) for ids in prompts))
        padded = torch.zeros((len(prompts), width), dtype=torch.long)
        for index, ids in enumerate(prompts):
            padded[index, : len(ids)] = torch.tensor(ids)
        self._cache.window = slice(start, start + len(prompts))
        positions = torch.arange(width, device=self._device)[None].expand(len(prompts), -1)
        hidden: torch.Tensor = self._decoder(
            input_ids=padded.to(self._device), position_ids=positions, use_cache=True, **self._cache_option
        ).last_hidden_state
        last = torch.tensor([len(ids) - 1 for ids in prompts], device=self._device)
        return hidden[torch.arange(len(prompts), device=self._device), last]

    def _choose(self, logits: torch.Tensor, rows: slice) -> None:
        """Choose and store a token for each row, and flag the rows that end or may end with it."""
        if self._temperature > 0:
            mass = (logits.float() / self._temperature).softmax(-1).cumsum(-1)
            draw = self._draws[rows].gather(1, self._step.expand(len(mass), 1))
            token = (mass < draw * mass[:, -1:]).sum(-1).clamp_(max=logits.shape[-1] - 1)
        else:
            token = logits.argmax(-1)
        before, ended = self._token[rows].clone(), self._ended[rows]
        token = torch.where(ended, self._ends[0], token)
        first = self._step == 0
        self._suspect[rows] |= self.dedents.suspects(torch.where(first, token, before), token) & ~ended
        self._token[rows] = token
        self._written[rows].scatter_(1, self._step.expand(len(token), 1), token[:, None])
        self._ended[rows] = ended | (token[:, None] == self._ends).any(-1)

    def _advance(self, count: int) -> None:
        """Generate one more token for each of the first `count` rows."""
        self._cache.window = slice(0, count)
        if self._device.type != "cuda":
            self._forward(count)
            return
        key = (count, self._temperature, self._adapted)
        if key not in self._graphs:
            self._graphs[key] = self._capture(count)
            return
        self._graphs[key].replay()

    def _forward(self, count: int) -> None:
        self._step += 1
        self._choose(self._next_logits(count), slice(0, count))

    def _next_logits(self, count: int) -> torch.Tensor:
        """Process the last token of each of the first `count` rows, and return the logits of the next."""
        rows = slice(0, count)
        hidden: torch.Tensor = self._decoder(
            input_ids=self._token[rows, None],
            position_ids=self._cache.lengths[rows, None],
            attention_mask=self._cache.mask(),
            use_cache=True,
            **self._cache_option,
        ).last_hidden_state
        self._cache.lengths[rows] += 1
        return self._head(hidden)[:, -1]

    def _capture(self, count: int) -> torch.cuda.CUDAGraph:
        """Run this step, and record it for later steps; the recording itself computes nothing."""
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            self._forward(count)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # The graphs run one after another and share memory: everything that outlives a step is in the engine's buffers.
        pool = next(iter(self._graphs.values())).pool() if self._graphs else None
        with torch.cuda.graph(graph, pool=pool):
            self._forward(count)
        return graph

    def _end_functions(self, rows: Sequence[Row], places: Sequence[int]) -> None:
        """Check the text of the rows that may have left their function or have stops, and end those that have ended."""
        suspects = torch.nonzero(self._suspect[: len(places)]).flatten().tolist()
        with_stops = (index for index, place in enumerate(places) if rows[place].stops)
        for index in {*suspects, *with_stops}:
            row = rows[places[index]]
            if (row.stops_at_dedent or row.stops) and not self._ended[index]:
                written = self._written[index, : int(self._step) + 1].tolist()
                text = answer_text(self._tokenizer, self._contexts[id(row.ids)], written)
                self._ended[index] = row.cut(text) != text
        self._suspect[:] = False

    def _shrink(
        self, rows: Sequence[Row], places: list[int], ended: list[bool], answers: list[Answer | None]
    ) -> list[int]:
        """Remove ended rows if the others fit a smaller power of two, and return the places of the remaining rows."""
        size = max(SMALLEST_BATCH, 1 << (ended.count(False) - 1).bit_length())
        if size >= len(places):
            return places
        for place, answer in zip(places, self._read(rows, places), strict=True):
            answers[place] = answer
        # Ended rows fill the batch up to that size, so that only a few sizes are recorded, the same for every job.
        remaining = sorted(sorted(range(len(places)), key=lambda index: ended[index])[:size])
        kept = torch.tensor(remaining, device=self._device)
        self._keep(kept)
        for buffer in (self._token, self._ended, self._suspect, self._written, self._draws):
            buffer[:size] = buffer[kept]
        return [places[index] for index in remaining]

    def _keep(self, kept: torch.Tensor) -> None:
        """Move these rows to the front."""
        self._cache.keep(kept)

    def _read(self, rows: Sequence[Row], places: Sequence[int]) -> list[Answer]:
        """Return the answers of the rows in the batch, as generated so far."""
        written = self._written[: len(places), : int(self._step) + 1].tolist()
        ends = set(self._ends.tolist())
        kept = [row[: next((n for n, token in enumerate(row) if token in ends), len(row))] for row in written]
        return [
            Answer(
                row.cut(answer_text(self._tokenizer, self._contexts[id(row.ids)], ids)), min(len(ids) + 1, len(tokens))
            )
            for row, ids, tokens in zip((rows[place] for place in places), kept, written, strict=True)
        ]


def _end_tokens(model: Any, tokenizer: Any) -> set[int]:
    """Return all tokens that end an answer."""
    named = model.generation_config.eos_token_id
    listed = named if isinstance(named, list) else [] if named is None else [named]
    return {*listed, tokenizer.eos_token_id} - {None}
