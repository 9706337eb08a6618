"""Rows of the database as an entry of the chain vouches for them: by a digest, so that none can be changed unseen.

Tables that only grow are vouched for in the order of their rows, so that a walk takes them in step with the entries; of
the others each row by its key, the last entry that names it being the one that counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

KIND = "rows"
"""The kind of the entry that ends a transaction and says which rows it wrote."""


class Wrote(NamedTuple):
    """What one transaction wrote."""

    added: dict[str, tuple[int, str]]
    """By table that only grows: how many rows, and `digest_lines` of them."""
    kept: dict[str, dict[str, str | None]]
    """By another table and a row's key: `digest_lines` of the row, None where it is gone."""

    @property
    def content(self) -> dict[str, Any]:
        """As the entry says it."""
        return {"added": {table: list(rows) for table, rows in self.added.items()}, "kept": self.kept}


class Rows(NamedTuple):
    """How far the tables went at one moment."""

    added: dict[str, int]
    """By table that only grows, the last row's number."""
    kept: dict[str, dict[str, str]]
    """By another table and a row's key, `digest_lines` of the row."""


def row_line(values: Mapping[str, Any]) -> bytes:
    """A row's one spelling: values by column, as JSON; empty ones are left out, so that a new column changes none."""
    told = {column: value for column, value in values.items() if value is not None}
    return json.dumps(told, separators=(",", ":"), sort_keys=True).encode() + b"\n"


def digest_lines(lines: Iterable[bytes]) -> str:
    """SHA-256 over rows, one after the other."""
    return count_lines(lines)[1]


def count_lines(lines: Iterable[bytes]) -> tuple[int, str]:
    """How many rows, and `digest_lines` of them."""
    count, digest = 0, hashlib.sha256()
    for line in lines:
        digest.update(line)
        count += 1
    return count, digest.hexdigest()
