"""Reading the chain, in parts: a chain of any length takes no more memory than a part of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import sqlalchemy
from sqlalchemy import Engine
from sqlmodel import col, func, select

from autosurgeon.core.chain import DECISION_COLUMNS, GENESIS, DecisionEntry, Event, Head
from autosurgeon.errors import StoreError
from autosurgeon.store.database import snapshot
from autosurgeon.store.tables import DecisionRow, EventRow

PART = 500
# Plain rows and no entities: a million of them are walked in one go.
_EVENTS = sqlalchemy.select(*(EventRow.__table__.columns[name] for name in Event._fields)).order_by(col(EventRow.seq))  # type: ignore[attr-defined]


_DECISION_COLUMNS = [
    DecisionRow.__table__.columns[name]  # type: ignore[attr-defined]
    for name in ("seq", "decision_id", "record", *DECISION_COLUMNS)
]


class Extent(NamedTuple):
    """How far events and decisions went at one moment."""

    events: int
    decisions: int


class Chained:
    """The part of the store that holds the chain of events."""

    _engine: Engine

    def head(self) -> Head:
        """The chain's length and last hash."""
        query = select(EventRow.seq, EventRow.hash).order_by(col(EventRow.seq).desc()).limit(1)
        with snapshot(self._engine) as session:
            last = session.exec(query).first()
            return Head(*last) if last else Head(0, GENESIS)

    def extent(self) -> Extent:
        """Both ends in one statement, so that a loop at work cannot come between."""
        last_decision = sqlalchemy.select(func.max(DecisionRow.seq)).scalar_subquery()
        query = sqlalchemy.select(func.max(EventRow.seq), last_decision)
        with snapshot(self._engine) as session:
            events, decisions = session.connection().execute(query).one()
            return Extent(events or 0, decisions or 0)

    def each_event(self, *, after: int | None = None, last: int | None = None) -> Iterator[Event]:
        """The events, by their numbers; StoreError at the one that cannot be read."""
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
                size = 1  # one at a time from here, so that all before the damaged one are still told
                continue
            yield from part
            if len(part) < size:
                return
            after = part[-1].seq

    def each_record(self, *, last: int) -> Iterator[DecisionEntry]:
        """The decisions up to that row, oldest first."""
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
