"""A JSON parser that reports what `json` accepts silently: duplicate keys, and constants that are not JSON."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NamedTuple

MAX_DIGITS = 400
"""No double has more digits; Python refuses to read integers of some thousands."""


class Parsed(NamedTuple):
    """The content, the duplicate keys, and the constants that are not JSON: NaN, Infinity, -Infinity."""

    content: Any
    twice: tuple[str, ...]
    constants: tuple[str, ...]


def parse(raw: bytes | str) -> Parsed:
    """Parse a text; ValueError or RecursionError if it is not JSON. Integers beyond all doubles become infinite."""
    twice: dict[str, None] = {}
    constants: dict[str, None] = {}

    def whole(digits: str) -> int | float:
        return int(digits) if len(digits) <= MAX_DIGITS else float(digits)

    def constant(word: str) -> float:
        constants[word] = None
        return float(word)

    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            counted = Counter(name for name, _ in pairs)
            twice.update(dict.fromkeys(name for name in found if counted[name] > 1))
        return found

    content = json.loads(raw, parse_int=whole, parse_constant=constant, object_pairs_hook=object_of)
    return Parsed(content, tuple(twice), tuple(constants))
