"""The prompts that one forward pass reads before decoding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

PREFILL_TOKENS = 1 << 16
"""Prompt tokens of one forward pass: more need more memory, fewer do not use a GPU fully."""


def distinct(prompts: Sequence[list[int]]) -> tuple[list[list[int]], list[int]]:
    """Return the prompts without adjacent duplicates, and for each row the index of its prompt."""
    found: list[list[int]] = []
    places = []
    for ids in prompts:
        if not found or found[-1] != ids:
            found.append(ids)
        places.append(len(found) - 1)
    return found, places


def portions(prompts: Sequence[list[int]]) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of the prompts of one forward pass: at most `PREFILL_TOKENS` with padding, or one prompt."""
    start, longest = 0, 0
    for end, ids in enumerate(prompts):
        longest = max(longest, len(ids))
        if end > start and longest * (end + 1 - start) > PREFILL_TOKENS:
            yield start, end
            start, longest = end, len(ids)
    yield start, len(prompts)
