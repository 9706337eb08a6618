"""Digests of database rows, which entries of the chain contain, so that every change of a row is detected.

Rows of append-only tables are digested in order, so that a walk reads them in step with the entries. Rows of the other
tables are digested each by its key; the last entry that names a row counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

KIND = "rows"
"""The kind of the entry that ends a transaction and lists the rows that it wrote."""


RESTORED = "restored"
"""The kind of the entry that a memory was made again from the chain before it."""


class Replaced(NamedTuple):
    """A stretch of entries whose rows in a table that only grows are not those that they name."""

    first: int
    """The number of the first such entry."""
    last: int
    size: int
    """Rows that are there in their place."""
    digest: str
    """`digest_lines` of them."""


class WrittenRows(NamedTuple):
    """The rows that one transaction wrote."""

    added: dict[str, tuple[int, str]]
    """By append-only table: the number of rows and their `digest_lines`."""
    kept: dict[str, dict[str, str | None]]
    """By any other table and a row's key: `digest_lines` of the row, None if it was deleted."""
    rows: dict[str, list[dict[str, Any]]]
    """By table: the rows themselves, as far as an entry holds them; of a row that changed, what changed and its key."""

    @property
    def content(self) -> dict[str, Any]:
        """The payload of the entry."""
        content = {"added": {table: list(rows) for table, rows in self.added.items()}, "kept": self.kept}
        return content | ({"rows": self.rows} if self.rows else {})


class Rows(NamedTuple):
    """The rows of all tables at one moment."""

    added: dict[str, int]
    """By append-only table, the number of the last row."""
    kept: dict[str, dict[str, str]]
    """By any other table and a row's key, `digest_lines` of the row."""


def row_line(values: Mapping[str, Any]) -> bytes:
    """Return a row's canonical line: values by column, as JSON, without nulls, so that a new column changes no row."""
    present = {column: value for column, value in values.items() if value is not None}
    return json.dumps(present, separators=(",", ":"), sort_keys=True).encode() + b"\n"


def digest_lines(lines: Iterable[bytes]) -> str:
    """Return the SHA-256 of rows in order."""
    return count_lines(lines)[1]


def count_lines(lines: Iterable[bytes]) -> tuple[int, str]:
    """Return the number of rows and their `digest_lines`."""
    count, digest = 0, hashlib.sha256()
    for line in lines:
        digest.update(line)
        count += 1
    return count, digest.hexdigest()
