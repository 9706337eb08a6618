"""Checks of all other tables against the events, row by row."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol

from autosurgeon.audit.chainchecks import Check
from autosurgeon.core.hash_chain import Event, Head
from autosurgeon.core.row_lines import KIND, Replaced, Rows, digest_lines


class EachLine(Protocol):
    """Reads the rows of an append-only table up to a number, in the form that the digests cover."""

    def __call__(self, table: str, *, last: int) -> Iterator[bytes]:
        """Yield the rows, oldest first."""


class RowsCheck(Check):
    """Compares the tables with the entries that record which rows were written.

    Rows of append-only tables are read in step with the events. For the other tables the last entry that names a row
    counts, which takes about a hundred bytes of memory per pass.
    """

    source = "rows"

    def __init__(self, found: Rows, each_line: EachLine, replaced: Mapping[str, Sequence[Replaced]]) -> None:
        """Prepare the comparison.

        Args:
            found: the ends of the tables.
            each_line: reads the append-only tables.
            replaced: by table, the stretches of entries whose rows a restoration replaced.

        """
        self._found = found
        self._replaced = {table: deque(stretches) for table, stretches in replaced.items()}
        self._lines = {table: each_line(table, last=last) for table, last in found.added.items()}
        self._named: dict[tuple[str, str], tuple[int, str, bytes]] = {}

    def step(self, event: Event) -> None:
        """Process the next event."""
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
            self.find(event.seq, what, got="different rows", wanted=wanted, subject=event.subject)

    def end(self, head: Head, signed: int) -> None:
        """Process the end of the events."""
        for table, lines in self._lines.items():
            if (line := next(lines, None)) is not None:
                what = f"a row of the table {table} has no entry"
                got = line[:80].decode(errors="replace").rstrip()
                self.find(head.size + 1, what, got=got, wanted="an entry for each row", subject=table)
                return

    def end_of_all(self, head: Head) -> None:
        """Compare the tables that change with the last entry of each row; only where all entries are valid."""
        faults = []
        for table, rows in self._found.kept.items():
            for key, digest in rows.items():
                seq, subject, wanted = self._named.pop((table, key), (head.size + 1, key, b""))
                if bytes.fromhex(digest) != wanted:
                    faults.append((seq, subject, table, key, digest, wanted))
        gone = ((s, subject, *name, "", w) for name, (s, subject, w) in self._named.items() if w)
        if first := min([*faults, *gone], default=None):
            seq, subject, table, key, digest, wanted = first
            what = f"row {key} of the table {table} differs from the last entry that wrote it"
            got, meant = (f"digest {text[:16]}" if text else "no such row" for text in (digest, wanted.hex()))
            self.find(seq, what, got=got, wanted=meant, subject=subject)
