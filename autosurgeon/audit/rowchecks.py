"""Every other table against the events: what was measured, made and moved, row by row."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol

from autosurgeon.audit.chainchecks import Check
from autosurgeon.core.chain import Event, Head
from autosurgeon.core.row_lines import KIND, Replaced, Rows, digest_lines


class EachLine(Protocol):
    """The rows of a table that only grows, up to a number, as the digests take them."""

    def __call__(self, table: str, *, last: int) -> Iterator[bytes]:
        """Oldest first."""


class RowsCheck(Check):
    """The tables against the entries that say which rows were written.

    Rows of tables that only grow are read in step. Of the others, what counts is the last entry that names a row: a
    hundred bytes for each pass are kept of that.
    """

    source = "rows"

    def __init__(self, found: Rows, each_line: EachLine, replaced: Mapping[str, Sequence[Replaced]]) -> None:
        """Hold rows against entries.

        Args:
            found: how far the tables go.
            each_line: reads the tables that only grow.
            replaced: by table, the stretches of entries whose rows a restoration vouches for in their place.

        """
        self._found = found
        self._replaced = {table: deque(stretches) for table, stretches in replaced.items()}
        self._lines = {table: each_line(table, last=last) for table, last in found.added.items()}
        self._named: dict[tuple[str, str], tuple[int, str, bytes]] = {}

    def step(self, event: Event) -> None:
        """Take the next event."""
        if event.kind != KIND:
            return
        try:
            content = json.loads(event.payload)
            for table, (count, digest) in content["added"].items():
                self._hold(event, table, int(count), digest)
            for table, rows in content["kept"].items():
                for key, digest in rows.items():
                    self._named[table, key] = (event.seq, event.subject, bytes.fromhex(digest or ""))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            what = "an entry of rows cannot be read"
            self.find(event.seq, what, got=repr(error), wanted="digests by table", subject=event.subject)

    def _hold(self, event: Event, table: str, count: int, digest: str) -> None:
        stretches = self._replaced.get(table)
        if stretches and event.seq >= stretches[0].first:
            if event.seq < stretches[0].last:
                return
            _, _, count, digest = stretches.popleft()
        if self.finding is None and digest_lines(islice(self._lines[table], count)) != digest:
            what = f"rows of the table {table} were changed, deleted or inserted"
            wanted = f"the {count} that were written, digest {digest[:16]}"
            self.find(event.seq, what, got="others", wanted=wanted, subject=event.subject)

    def end(self, head: Head, signed: int) -> None:
        """Hear that there are no more."""
        for table, lines in self._lines.items():
            if (line := next(lines, None)) is not None:
                what = f"a row of the table {table} stands in the database without an entry"
                got = line[:80].decode(errors="replace").rstrip()
                self.find(head.size + 1, what, got=got, wanted="an entry of each row", subject=table)
                return

    def end_of_all(self, head: Head) -> None:
        """Hold the tables that change against the last word on each row; only where all entries can be believed."""
        faults = []
        for table, rows in self._found.kept.items():
            for key, digest in rows.items():
                seq, subject, wanted = self._named.pop((table, key), (head.size + 1, key, b""))
                if bytes.fromhex(digest) != wanted:
                    faults.append((seq, subject, table, key, digest, wanted))
        gone = ((s, subject, *name, "", w) for name, (s, subject, w) in self._named.items() if w)
        if first := min([*faults, *gone], default=None):
            seq, subject, table, key, digest, wanted = first
            what = f"row {key} of the table {table} is not what was written last"
            got, meant = (f"digest {text[:16]}" if text else "no such row" for text in (digest, wanted.hex()))
            self.find(seq, what, got=got, wanted=meant, subject=subject)
