"""The entry of a restoration: the rows that it replaced, so that an audit compares the right rows."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Engine
from sqlmodel import Session, col, select

from autosurgeon.core.person import PersonAct
from autosurgeon.core.row_lines import KIND as ROWS
from autosurgeon.core.row_lines import RESTORED, Replaced, WrittenRows
from autosurgeon.store.acts import append_act
from autosurgeon.store.database import snapshot
from autosurgeon.store.events import append
from autosurgeon.store.rebuild_rows import Restored
from autosurgeon.store.row_digests import CHANGING, MOST_KEPT, as_stored, key_of
from autosurgeon.store.tables import EventRow

MOST_LISTED = 200
"""The most names that an entry lists; beyond it the entry holds their number."""


class Restorations:
    """The part of the store that holds the rows that a restoration replaced."""

    _engine: Engine

    def replaced(self) -> dict[str, tuple[Replaced, ...]]:
        """By append-only table, the spans of entries whose rows have new digests from the last restoration."""
        query = select(EventRow.payload).where(EventRow.kind == RESTORED).order_by(col(EventRow.seq).desc()).limit(1)
        with snapshot(self._engine) as session:
            last = session.exec(query).first()
        content = json.loads(last) if last is not None else {"instead": {}}
        return {name: tuple(Replaced(*stretch) for stretch in found) for name, found in content["instead"].items()}


def append_restored(
    connection: Connection, at: str, act: PersonAct, restored: Restored, source: dict[str, Any]
) -> None:
    """Write the entries that end a restoration: the person, what it replaced, and the new digests of rows."""
    with Session(connection) as session:
        append_act(session, act)
        content = source | {
            "instead": {name: [list(span) for span in spans] for name, spans in restored.spans.items()},
            "missing": restored.missing,
            "reduced": restored.reduced,
            "lacking": list(restored.lacking[:MOST_LISTED]),
        }
        append(session, at, RESTORED, "memory", content)
        kept = [(name, key, digest) for name, found in restored.kept.items() for key, digest in found.items()]
        for start in range(0, max(len(kept), bool(restored.added)), MOST_KEPT):
            part: dict[str, dict[str, str | None]] = {}
            for name, key, digest in kept[start : start + MOST_KEPT]:
                part.setdefault(name, {})[key] = digest
            wrote = WrittenRows({} if start else restored.added, part, _rows(connection, part))
            append(session, at, ROWS, "restored", wrote.content)
        session.flush()
        session.commit()


def _rows(connection: Connection, keys: dict[str, dict[str, str | None]]) -> dict[str, list[dict[str, Any]]]:
    """The rows of some keys, so that the next restoration finds them in the chain."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, wanted in keys.items():
        for row in map(dict, connection.execute(as_stored(CHANGING[name])).mappings()):
            if wanted.get(key_of(CHANGING[name], row)) is not None:
                found.setdefault(name, []).append(row)
    return found
