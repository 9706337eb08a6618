"""Digests of the rows that a transaction wrote, in its last event; the audit compares the tables with them.

Every table is covered except `decision`, whose events hold the records, and the events themselves. The same event
holds the rows, so that a lost database can be rebuilt from the chain; except for results of benches and long outputs
of stages, which hold programs and would be most of the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import sqlalchemy
from sqlalchemy import Boolean, Connection, Float, Integer, Table, event
from sqlmodel import Session, SQLModel

from autosurgeon.core.row_lines import KIND, WrittenRows, count_lines, digest_lines, row_line
from autosurgeon.store.events import append
from autosurgeon.store.tables import (
    AnchorRunRow,
    BegunRow,
    BenchRow,
    ConfirmationRow,
    LiveRow,
    LookRow,
    PackRow,
    PassRow,
    PolicyRow,
    QuarantineRow,
    RunRow,
    SpentRow,
    StageRow,
    TaughtRow,
)


def _table(row: type[SQLModel]) -> Table:
    return SQLModel.metadata.tables[str(row.__tablename__)]


_GROW = (StageRow, BenchRow, ConfirmationRow, LookRow, AnchorRunRow, QuarantineRow, LiveRow)
_CHANGE = (RunRow, PassRow, BegunRow, PackRow, PolicyRow, TaughtRow, SpentRow)
GROWING = {table.name: table for table in [_table(row) for row in _GROW]}
"""Append-only tables: rows are added in the order of their number and never change."""
CHANGING = {table.name: table for table in [_table(row) for row in _CHANGE]}
"""Tables whose rows change, are deleted, or have no number."""


PROGRAMS = BenchRow.__tablename__
"""The table with the programs that models write."""
LONGEST_OUTPUT = 4096
"""The most characters of a stage's output that an event holds."""


def row_for_event(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as an event holds it."""
    output = row.get("output") if name == StageRow.__tablename__ else None
    # The rows of a dataset are programs, even if short.
    is_left_out = output is not None and (len(output) > LONGEST_OUTPUT or row["name"] == "dataset")
    return {column: value for column, value in row.items() if not (is_left_out and column == "output")}


def line_of(table: Table, row: Mapping[str, Any]) -> bytes:
    """The line of a row for its digest, the same before and after storage."""
    return row_line({name: _plain(table.columns[name].type, value) for name, value in row.items()})


def key_of(table: Table, row: Mapping[str, Any]) -> str:
    """The key of a row."""
    return "/".join(str(row[column.name]) for column in table.primary_key)


def as_stored(table: Table, columns: Iterable[str] | None = None) -> Any:
    """Columns of a table (all when None) with their stored values: a 7 in a column of truths is not True."""
    names = table.columns.keys() if columns is None else columns
    return sqlalchemy.select(*(sqlalchemy.column(name) for name in names)).select_from(table)


def _plain(kind: Any, value: Any) -> Any:
    if isinstance(kind, Float) and isinstance(value, int | float):
        return float(value)
    if isinstance(kind, Boolean) and value in (0, 1):
        return bool(value)
    return value if value is None or (isinstance(kind, Integer) and isinstance(value, int)) else str(value)


class _Note(NamedTuple):
    """The change of a row in a session."""

    row: Any
    is_gone: bool
    changed: frozenset[str]
    """The columns that changed; for a new row all that are not empty."""


class Written:
    """Collects the rows that a session writes."""

    def __init__(self, session: Session) -> None:
        self._notes: dict[int, _Note] = {}
        event.listen(session, "after_flush", self._note)

    def _note(self, session: Session, _: Any) -> None:
        for row in (*session.new, *session.dirty, *session.deleted):
            state, known = sqlalchemy.inspect(row), self._notes.get(id(row))
            # A new row has no history before its first flush, and its empty columns are no change.
            changed = {
                column.key for column in state.mapper.column_attrs if state.attrs[column.key].history.has_changes()
            }
            before = known.changed if known is not None else frozenset()
            self._notes[id(row)] = _Note(row, row in session.deleted, before | changed)

    def append_event(self, session: Session, at: str) -> None:
        """Append the event of the written rows, if there are any."""
        session.flush()
        wrote = self._wrote()
        if wrote.added or wrote.kept:
            # A write without an event of its own is named by its rows.
            subject = session.info.get("subject") or next(key for keys in wrote.kept.values() for key in keys)
            append(session, at, KIND, subject, wrote.content)

    def _wrote(self) -> WrittenRows:
        added: dict[str, list[Mapping[str, Any]]] = {}
        kept: dict[str, dict[str, str | None]] = {}
        rows: dict[str, list[dict[str, Any]]] = {}
        for row, is_gone, changed in self._notes.values():
            name = row.__tablename__
            table = GROWING.get(name, CHANGING.get(name))
            if table is None:
                continue
            values = {column.name: getattr(row, column.name) for column in table.columns}
            if name in GROWING:
                added.setdefault(name, []).append(values)
            else:
                digest = None if is_gone else digest_lines([line_of(table, values)])
                kept.setdefault(name, {})[key_of(table, values)] = digest
            if name in GROWING and name != PROGRAMS:
                rows.setdefault(name, []).append(
                    row_for_event(name, {column: value for column, value in values.items() if value is not None})
                )
            elif name in CHANGING and not is_gone:
                keys = {column.name for column in table.primary_key}
                rows.setdefault(name, []).append({c: v for c, v in values.items() if c in keys or c in changed})
        return WrittenRows({name: _together(GROWING[name], rows) for name, rows in added.items()}, kept, rows)


def _together(table: Table, rows: list[Mapping[str, Any]]) -> tuple[int, str]:
    """The number of rows, and their digest in the order of the table."""
    (place,) = table.primary_key
    rows.sort(key=lambda row: row[place.name])
    return count_lines(line_of(table, row) for row in rows)


PART = 500
MOST_KEPT = 1000
"""The most rows in one event for a workspace that is older than these events."""


def append_all_digests(connection: Connection, at: str) -> None:
    """Append digests of every row of a workspace that is older than these events, in its existing columns."""
    found = sqlalchemy.inspect(connection)
    tables = set(found.get_table_names())

    def lines_of(table: Table) -> Iterator[tuple[str, bytes]]:
        """(key, line) of each row, in parts, since a long history has millions."""
        if table.name in tables:
            columns = [column["name"] for column in found.get_columns(table.name)]
            query = as_stored(table, columns).order_by(*(sqlalchemy.column(key.name) for key in table.primary_key))
            for row in connection.execute(query.execution_options(yield_per=PART)).mappings():
                yield key_of(table, dict(row)), line_of(table, dict(row))

    added = {}
    for name, table in GROWING.items():
        counted = count_lines(line for _, line in lines_of(table))
        if counted[0]:
            added[name] = counted
    kept = [(name, key, digest_lines([line])) for name, table in CHANGING.items() for key, line in lines_of(table)]
    with Session(connection) as session:
        for start in range(0, max(len(kept), bool(added)), MOST_KEPT):
            part: dict[str, dict[str, str | None]] = {}
            for name, key, digest in kept[start : start + MOST_KEPT]:
                part.setdefault(name, {})[key] = digest
            append(session, at, KIND, "adopted", WrittenRows({} if start else added, part, {}).content)
        session.commit()
