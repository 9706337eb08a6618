"""Reading a damaged or older memory: rows are taken over where the chain has their digests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import sqlalchemy
from sqlalchemy import Connection, Engine, Table, event
from sqlalchemy.exc import DBAPIError

from autosurgeon.core.hash_chain import Event
from autosurgeon.core.row_lines import digest_lines
from autosurgeon.store.address import read_address
from autosurgeon.store.database import begin_transaction, reading
from autosurgeon.store.postgres import postgres_engine
from autosurgeon.store.row_digests import as_stored, key_of, line_of
from autosurgeon.store.sqlite import looking_engine
from autosurgeon.store.tables import DecisionRow, EventRow

Row = dict[str, Any]
# What a driver raises for a damaged page, invalid UTF-8, or a missing table.
_UNREADABLE = (DBAPIError, sqlalchemy.exc.NoSuchTableError, UnicodeDecodeError, ValueError)


class Leftover:
    """An old memory; what cannot be read counts as missing."""

    def __init__(self, where: Path | str) -> None:
        """Name the memory; it is opened later, and never written."""
        url = read_address(where)
        path = Path(url.database or "") if url.get_backend_name() == "sqlite" else None
        self._engine: Engine = postgres_engine(url) if path is None else looking_engine(path)
        event.listen(self._engine, "begin", begin_transaction)
        self._columns: dict[str, list[str]] = {}
        self._after: dict[str, int] = {}

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the database."""
        self._engine.dispose()

    def each_event(self, *, after: int) -> Iterator[Event]:
        """The events after a number, up to the first unreadable one."""
        names = [EventRow.__table__.columns[name] for name in Event._fields]  # type: ignore[attr-defined]
        query = sqlalchemy.select(*names).order_by(EventRow.__table__.columns["seq"])  # type: ignore[attr-defined]
        while True:
            try:
                with self._connect() as connection:
                    found = connection.execute(query.where(names[0] > after).limit(100)).all()
            except _UNREADABLE:
                return
            yield from map(Event._make, found)
            if not found:
                return
            after = found[-1][0]

    def record_of(self, decision_id: str) -> str | None:
        """The record of a decision; None where it cannot be read."""
        columns = DecisionRow.__table__.columns  # type: ignore[attr-defined]
        query = sqlalchemy.select(columns["record"]).where(columns["decision_id"] == decision_id)
        try:
            with self._connect() as connection:
                return connection.execute(query).scalar()
        except _UNREADABLE:
            return None

    def take(self, table: Table, count: int, digest: str, *, seen: int) -> list[Row] | None:
        """The rows of an entry of an append-only table; None where the digest differs.

        Args:
            table: the table.
            count: the number of rows of the entry.
            digest: the digest of the rows.
            seen: the number of rows of earlier entries: row numbers mostly have no gaps.

        """
        taken = self._after.get(table.name, 0)
        for after in dict.fromkeys((seen, taken)):
            rows = self._rows(table, after, count)
            if len(rows) == count and digest_lines(line_of(table, row) for row in rows) == digest:
                self._after[table.name] = rows[-1][next(iter(table.primary_key)).name]
                return rows
        return None

    def rows_of(self, table: Table, wanted: dict[str, str]) -> dict[str, Row]:
        """The rows with some keys and digests, by key."""
        found: dict[str, Row] = {}
        try:
            with self._connect() as connection:
                for mapping in connection.execute(as_stored(table, self._columns_of(connection, table))).mappings():
                    row = dict(mapping)
                    key = key_of(table, row)
                    if key in wanted and digest_lines([line_of(table, row)]) == wanted[key]:
                        found[key] = row
        except _UNREADABLE:
            return found  # as far as it is readable
        return found

    def _rows(self, table: Table, after: int, count: int) -> list[Row]:
        (place,) = table.primary_key
        try:
            with self._connect() as connection:
                query = as_stored(table, self._columns_of(connection, table)).where(place > after)
                return [dict(row) for row in connection.execute(query.order_by(place).limit(count)).mappings()]
        except _UNREADABLE:
            return []

    def _connect(self) -> Connection:
        return reading(self._engine).connect()

    def _columns_of(self, connection: Connection, table: Table) -> list[str]:
        """The columns that the old schema has too."""
        if table.name not in self._columns:
            found = {column["name"] for column in sqlalchemy.inspect(connection).get_columns(table.name)}
            self._columns[table.name] = [name for name in table.columns.keys() if name in found]  # noqa: SIM118
        return self._columns[table.name]
