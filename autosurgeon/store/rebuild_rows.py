"""Rebuild a memory: rows from the events of the chain, checked by the digests in the same chain.

An entry of rows holds the rows, except for results of benches and long outputs of stages, which are taken by their
digest from an old memory where it still has them. Older entries without rows leave only what the other events of
their transactions name. Rows that differ from the chain's digests get new digests in the entry of the restoration;
unknown rows are left out.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import sqlalchemy
from sqlalchemy import Connection, Table
from sqlalchemy.exc import IntegrityError

from autosurgeon.core.decision import Decision
from autosurgeon.core.hash_chain import Event, digest_records, payload_text
from autosurgeon.core.row_lines import KIND, Replaced, count_lines, digest_lines
from autosurgeon.store.event_rows import rows_of_event
from autosurgeon.store.old_memory import Leftover, Row
from autosurgeon.store.row_digests import CHANGING, GROWING, as_stored, key_of, line_of
from autosurgeon.store.tables import BegunRow, BenchRow, DecisionRow, EventRow, PackRow, StageRow

MOST_SPANS = 200
"""The most spans of a table that a restoration lists one by one; beyond it, it lists one span from first to last."""
LINES_AHEAD = 16
RESULTS, STAGES, PACKS = str(BenchRow.__tablename__), str(StageRow.__tablename__), str(PackRow.__tablename__)
BEGUN = str(BegunRow.__tablename__)
EVENTS: Table = EventRow.__table__  # type: ignore[attr-defined]
DECISIONS: Table = DecisionRow.__table__  # type: ignore[attr-defined]


class Restored(NamedTuple):
    """The result of a restoration."""

    spans: dict[str, list[Replaced]]
    """By append-only table, the spans with new digests."""
    added: dict[str, tuple[int, str]]
    """By append-only table: the number of rows that no entry of the chain names, and their digest."""
    kept: dict[str, dict[str, str | None]]
    """By other table and key: the new digest of rows that differ from their last one; None for missing rows."""
    missing: dict[str, int]
    """By table, the number of missing rows."""
    reduced: dict[str, int]
    """By table, the number of rows with missing or unproven columns."""
    counts: dict[str, int]
    """By table, the number of rows."""
    lacking: tuple[str, ...]
    """The packs whose results are lost, as far as their scopes name them."""


class _Inexact(NamedTuple):
    place: int
    """The index of the entry among those of the table."""
    seq: int
    before: int
    """The number of earlier rows of the table."""
    after: int


class Rebuild:
    """Writes the entries of a verified chain and their rows into an empty database."""

    def __init__(self, connection: Connection, leftover: Leftover | None, log: Iterator[str]) -> None:
        """Use the transaction of a connection.

        Args:
            connection: to an empty memory of the current schema.
            leftover: the old memory, if there is one.
            log: the lines of the decision log, oldest first: they keep the original spelling of numbers.

        """
        self._connection, self._leftover, self._log = connection, leftover, log
        self._ahead: dict[str, str] = {}
        self._pending: list[Event] = []
        self._named: dict[str, dict[str, str | None]] = {name: {} for name in CHANGING}
        self._seen: Counter[str] = Counter()
        self._there: Counter[str] = Counter()
        self._entries: Counter[str] = Counter()
        self._inexact: dict[str, list[_Inexact]] = {name: [] for name in GROWING}
        self._missing: Counter[str] = Counter()
        self._reduced: Counter[str] = Counter()
        self._lacking: dict[str, None] = {}

    def take(self, event: Event) -> None:
        """Take the next entry."""
        self._connection.execute(EVENTS.insert(), event._asdict())
        content = json.loads(event.payload)
        if event.kind == "decision":
            self._decide(self._record_of(event))
        elif event.kind == "adopted":
            self._adopt(content)
        if event.kind != KIND:
            self._pending.append(event)
            return
        rows_by_table: dict[str, list[Row]] = content["rows"] if "rows" in content else self._pending_rows()
        self._pending.clear()
        self._change(rows_by_table, content["kept"])
        self._grow(event, content["added"], rows_by_table)

    def finish(self, manifests: Mapping[str, str]) -> Restored:
        """Check the rows of changing tables against their last digests, after the last entry.

        Args:
            manifests: the manifests of the packs in the workspace, as text, by digest.

        """
        added = self._add_unnamed()
        kept = {name: rows for name, table in CHANGING.items() if (rows := self._settle(name, table, manifests))}
        spans = {name: found for name, table in GROWING.items() if (found := self._spans(name, table))}
        counts = {name: self._count(table) for name, table in (*GROWING.items(), *CHANGING.items())}
        counts["decision"] = self._count(DECISIONS)
        return Restored(spans, added, kept, dict(self._missing), dict(self._reduced), counts, tuple(self._lacking))

    # --- decisions ----------------------------------------------------------------------------------------------

    def _record_of(self, event: Event) -> str:
        """A decision's record as written: from the log or the old memory, if it matches the event."""
        if event.subject not in self._ahead:
            # Removed or inserted lines shift the others by a few.
            for line in itertools.islice(self._log, LINES_AHEAD if self._ahead else 1):
                self._ahead[_decision_id(line)] = line
        found = self._ahead.pop(event.subject, None)
        for record in (found, self._leftover.record_of(event.subject) if self._leftover and found is None else None):
            if record is not None and _spells(record, event.payload):
                return record
        return event.payload

    def _adopt(self, content: Mapping[str, Any]) -> None:
        """Take the decisions that are older than the chain from the log; all or none."""
        lines = list(itertools.islice(self._log, int(content["decisions"])))
        try:
            is_proven = digest_records(lines) == (content["decisions"], content["digest"])
        except ValueError:
            is_proven = False
        if is_proven:
            for line in lines:
                self._decide(line)
        else:
            self._missing["decision"] += int(content["decisions"])

    def _decide(self, record: str) -> None:
        content = json.loads(record)
        text = json.dumps(content)
        try:
            current = Decision.model_validate(content).record()
            text = json.dumps(current) if payload_text(current) == payload_text(content) else text
        except ValueError:
            pass  # a record of another version is kept as it is
        judgement = content.get("judgement") or {}
        row = {name: content.get(name) for name in ("decision_id", "pass_number", "action", "at")}
        row |= {"phase": judgement.get("phase"), "verdict": judgement.get("verdict"), "record": text}
        self._connection.execute(DECISIONS.insert(), row)

    # --- tables whose rows change -------------------------------------------------------------------------------

    def _change(self, rows_by_table: Mapping[str, list[Row]], kept: Mapping[str, Mapping[str, str | None]]) -> None:
        for name in CHANGING:
            for row in rows_by_table.get(name, ()):
                is_over = name == BEGUN and row["times"] is None
                (self._drop(CHANGING[name], key_of(CHANGING[name], row)) if is_over else self._put(CHANGING[name], row))
            for key, digest in kept.get(name, {}).items():
                self._named[name][key] = digest
                if digest is None:
                    self._drop(CHANGING[name], key)

    def _put(self, table: Table, row: Mapping[str, Any]) -> None:
        """Update a row, or insert it."""
        match = [column == row[column.name] for column in table.primary_key]
        if self._connection.execute(table.update().where(*match).values(**row)).rowcount == 0:
            try:
                self._connection.execute(
                    table.insert(), {column.name: row.get(column.name) for column in table.columns}
                )
            except IntegrityError:
                return  # an incomplete row: its digest reports it in the end

    def _drop(self, table: Table, key: str) -> None:
        # Only rows of begun stages are deleted, and there are few at a time.
        for row in map(dict, self._connection.execute(as_stored(table)).mappings()):
            if key_of(table, row) == key:
                match = [column == row[column.name] for column in table.primary_key]
                self._connection.execute(table.delete().where(*match))

    def _settle(self, name: str, table: Table, manifests: Mapping[str, str]) -> dict[str, str | None]:
        """The new digests of rows that still differ from their last one after every source was tried."""
        self._take_over(table, self._wrong(name, table))
        if name == PACKS:
            self._take_manifests(table, self._wrong(name, table), manifests)
        kept: dict[str, str | None] = {}
        there = self._digests(table)
        for key in self._wrong(name, table):
            kept[key] = there.get(key)
            (self._reduced if key in there else self._missing)[name] += 1
        for key in there.keys() - self._named[name].keys():
            kept[key] = there[key]  # older than the digests of rows
        return kept

    def _wrong(self, name: str, table: Table) -> dict[str, str]:
        there = self._digests(table)
        return {key: digest for key, digest in self._named[name].items() if digest and there.get(key) != digest}

    def _digests(self, table: Table) -> dict[str, str]:
        rows = map(dict, self._connection.execute(as_stored(table)).mappings())
        return {key_of(table, row): digest_lines([line_of(table, row)]) for row in rows}

    def _take_over(self, table: Table, wanted: dict[str, str]) -> None:
        for row in (self._leftover.rows_of(table, wanted) if self._leftover and wanted else {}).values():
            self._put(table, row)

    def _take_manifests(self, table: Table, wanted: Mapping[str, str], manifests: Mapping[str, str]) -> None:
        """Take packs from the manifests in the workspace; their times are unknown."""
        for digest in wanted.keys() & manifests.keys():
            parent = json.loads(manifests[digest])["lineage"]["parent"]
            row = {"digest": digest, "parent": parent, "manifest": manifests[digest], "at": ""}
            self._put(table, row)

    # --- tables that only grow ----------------------------------------------------------------------------------

    def _grow(self, event: Event, added: Mapping[str, tuple[int, str]], rows_by_table: Mapping[str, list[Row]]) -> None:
        found = {name: self._proven(name, int(count), digest, rows_by_table) for name, (count, digest) in added.items()}
        if RESULTS in found and found[RESULTS] is None:
            # A stage with an output counts as done; one whose results are lost must run again.
            found[STAGES] = None
            self._lacking |= {row["scope"]: None for row in rows_by_table.get(STAGES, ()) if "scope" in row}
        for name, rows in found.items():
            count, is_exact = int(added[name][0]), rows is not None
            rows = rows if rows is not None else self._without_outputs(name, rows_by_table)
            before = self._there[name]
            self._insert(name, rows)
            if not is_exact:
                self._inexact[name].append(_Inexact(self._entries[name], event.seq, before, self._there[name]))
                self._reduced[name] += len(rows)
                self._missing[name] += count - len(rows)
            self._entries[name] += 1
            self._seen[name] += count

    def _insert(self, name: str, rows: list[Row]) -> None:
        columns = [column.name for column in GROWING[name].columns]
        if rows:
            self._connection.execute(GROWING[name].insert(), [{c: row.get(c) for c in columns} for row in rows])
        self._there[name] += len(rows)

    def _proven(self, name: str, count: int, digest: str, rows_by_table: Mapping[str, list[Row]]) -> list[Row] | None:
        """The rows of an entry, from the entry or the old memory; None where neither has them."""
        rows, table = rows_by_table.get(name, []), GROWING[name]
        if len(rows) == count and digest_lines(line_of(table, row) for row in rows) == digest:
            return rows
        return self._leftover.take(table, count, digest, seen=self._seen[name]) if self._leftover else None

    def _without_outputs(self, name: str, rows_by_table: Mapping[str, list[Row]]) -> list[Row]:
        """Unproven rows; those of stages without their outputs."""
        return [{**row, "output": None} if name == STAGES else row for row in rows_by_table.get(name, ())]

    def _spans(self, name: str, table: Table) -> list[Replaced]:
        """The spans of entries whose rows differ, with digests of the present rows."""
        found: list[list[_Inexact]] = []
        for entry in self._inexact[name]:
            if found and found[-1][-1].place + 1 == entry.place:
                found[-1] = [found[-1][0], entry]
            else:
                found.append([entry])
        if len(found) > MOST_SPANS:
            found = [[found[0][0], found[-1][-1]]]
        (place,) = table.primary_key
        rows = self._connection.execute(as_stored(table).order_by(place).execution_options(yield_per=500)).mappings()
        spans, at, lines = [], 0, (line_of(table, dict(row)) for row in rows)
        for stretch in found:
            for _ in range(stretch[0].before - at):
                next(lines)
            digest, count = hashlib.sha256(), stretch[-1].after - stretch[0].before
            for _ in range(count):
                digest.update(next(lines))
            at = stretch[-1].after
            spans.append(Replaced(stretch[0].seq, stretch[-1].seq, count, digest.hexdigest()))
        return spans

    # --- entries from before they held rows ---------------------------------------------------------------------

    def _pending_rows(self) -> dict[str, list[Row]]:
        """Rows from the other events of a transaction, for an entry without rows."""
        rows_by_table: dict[str, list[Row]] = {}
        for event in self._pending:
            for name, row in rows_of_event(event):
                rows_by_table.setdefault(name, []).append(row)
        for name in GROWING.keys() & rows_by_table.keys():
            (place,) = GROWING[name].primary_key
            for number, row in enumerate(rows_by_table[name], self._there[name] + 1):
                row.setdefault(place.name, number)
        self._pending.clear()
        return rows_by_table

    def _add_unnamed(self) -> dict[str, tuple[int, str]]:
        """Write the rows after the last entry of rows; a chain without such entries has only these."""
        rows_by_table = self._pending_rows()
        self._change(rows_by_table, {})
        added = {}
        for name in GROWING.keys() & rows_by_table.keys():
            rows = self._without_outputs(name, rows_by_table)
            self._insert(name, rows)
            self._reduced[name] += len(rows)
            added[name] = count_lines(line_of(GROWING[name], row) for row in rows)
        return added

    def _count(self, table: Table) -> int:
        return int(self._connection.execute(sqlalchemy.select(sqlalchemy.func.count()).select_from(table)).scalar_one())


def _decision_id(line: str) -> str:
    try:
        return str(json.loads(line)["decision_id"])
    except (ValueError, KeyError, TypeError):
        return ""


def _spells(record: str, payload: str) -> bool:
    """Whether a record has the content of an event."""
    try:
        return payload_text(json.loads(record)) == payload
    except ValueError:
        return False
