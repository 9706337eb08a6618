"""Reading the chain in parts of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import sqlalchemy
from sqlalchemy import Engine
from sqlmodel import col, func, select

from autosurgeon.core.hash_chain import DECISION_COLUMNS, DecisionEntry, Event, Head
from autosurgeon.core.row_lines import Rows, digest_lines
from autosurgeon.errors import StoreError
from autosurgeon.store.database import snapshot
from autosurgeon.store.events import read_head
from autosurgeon.store.row_digests import CHANGING, GROWING, as_stored, key_of, line_of
from autosurgeon.store.tables import DecisionRow, EventRow

PART = 500
# Plain rows instead of entities, since a walk reads millions of them.
_EVENTS = sqlalchemy.select(*(EventRow.__table__.columns[name] for name in Event._fields)).order_by(col(EventRow.seq))  # type: ignore[attr-defined]


_DECISION_COLUMNS = [
    DecisionRow.__table__.columns[name]  # type: ignore[attr-defined]
    for name in ("seq", "decision_id", "record", *DECISION_COLUMNS)
]


_PLACES = [EventRow.seq, DecisionRow.seq, *(next(iter(table.primary_key)) for table in GROWING.values())]


class Extent(NamedTuple):
    """The ends of events, decisions and the other tables at one moment."""

    events: int
    decisions: int
    rows: Rows


class Chained:
    """The part of the store that holds the chain of events."""

    _engine: Engine

    def head(self) -> Head:
        """The length and the last hash of the chain."""
        with snapshot(self._engine) as session:
            return read_head(session)

    def hash_at(self, seq: int) -> str | None:
        """The hash of an entry; None where there is no such entry."""
        with snapshot(self._engine) as session:
            return session.exec(select(EventRow.hash).where(EventRow.seq == seq)).first()

    def is_past_first_decision(self) -> bool:
        """Whether the chain has more than one decision; a checkpoint signs each before the next one."""
        query = select(EventRow.seq).where(EventRow.kind == "decision").limit(2)
        with snapshot(self._engine) as session:
            return len(session.exec(query).all()) > 1

    def extent(self) -> Extent:
        """All ends from one snapshot, so that a running loop cannot change them in between."""
        with snapshot(self._engine) as session:
            connection = session.connection()
            ends = [connection.execute(sqlalchemy.select(func.max(place))).scalar() or 0 for place in _PLACES]
            kept = {
                name: {
                    key_of(table, row): digest_lines([line_of(table, row)])
                    for row in map(dict, connection.execute(as_stored(table)).mappings())
                }
                for name, table in CHANGING.items()
            }
            return Extent(ends[0], ends[1], Rows(dict(zip(GROWING, ends[2:], strict=True)), kept))

    def each_event(self, *, after: int | None = None, last: int | None = None) -> Iterator[Event]:
        """The events in order; StoreError at an unreadable one."""
        size = PART
        while True:
            query = _EVENTS
            if after is not None:
                query = query.where(col(EventRow.seq) > after)
            if last is not None:
                query = query.where(col(EventRow.seq) <= last)
            try:
                with snapshot(self._engine) as session:
                    part = list(map(Event._make, session.connection().execute(query.limit(size))))
            except StoreError:
                if size == 1:
                    raise
                size = 1  # one at a time from here, so that all before the damaged one are still read
                continue
            yield from part
            if len(part) < size:
                return
            after = part[-1].seq

    def each_line(self, table: str, *, last: int) -> Iterator[bytes]:
        """The rows of an append-only table up to that number, in order, as the lines that `core.row_lines` digests."""
        columns, after = GROWING[table], 0
        (place,) = columns.primary_key
        while True:
            query = as_stored(columns).where(place > after, place <= last).order_by(place).limit(PART)
            with snapshot(self._engine) as session:
                part = [dict(row) for row in session.connection().execute(query).mappings()]
            yield from (line_of(columns, row) for row in part)
            if len(part) < PART:
                return
            after = part[-1][place.name]

    def each_record(self, *, last: int) -> Iterator[DecisionEntry]:
        """The decisions up to a row, oldest first."""
        after = 0
        while True:
            query = (
                sqlalchemy.select(*_DECISION_COLUMNS)
                .where(col(DecisionRow.seq) > after, col(DecisionRow.seq) <= last)
                .order_by(col(DecisionRow.seq))
                .limit(PART)
            )
            with snapshot(self._engine) as session:
                part = session.connection().execute(query).all()
            yield from (DecisionEntry(row[1], row[2], tuple(row[3:])) for row in part)
            if len(part) < PART:
                return
            after = part[-1][0]
