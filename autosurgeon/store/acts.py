"""Acts of people: events of the chain, each in the transaction of what the act changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

from pydantic import ValidationError
from sqlalchemy import Engine
from sqlmodel import Session, col, func, select

from autosurgeon.core.decision import Decision
from autosurgeon.core.hash_chain import Head
from autosurgeon.core.person import KIND, Person, PersonAct
from autosurgeon.errors import StoreError
from autosurgeon.store.database import snapshot, transaction
from autosurgeon.store.events import append, read_head
from autosurgeon.store.tables import DecisionRow, EventRow, QuarantineRow


class Entry(NamedTuple):
    """An act and its number in the chain."""

    seq: int | None
    """None for an older act that is no entry; a decision or another row names its person."""
    act: PersonAct


class Acts:
    """The part of the store that holds the acts of people."""

    _engine: Engine

    def record_act(self, act: PersonAct | Callable[[Head], PersonAct]) -> PersonAct:
        """Add an act to the chain; a function makes an act that depends on the head, within the transaction."""
        with transaction(self._engine) as session:
            made = act if isinstance(act, PersonAct) else act(read_head(session))
            append_act(session, made)
            return made

    def acts(self, *, since: str | None = None, pass_number: int | None = None) -> list[Entry]:
        """The acts of people, oldest first, with older overrides and quarantines that are no entries.

        Args:
            since: only acts from this time on, ISO 8601.
            pass_number: only older overrides of this pass.

        """
        with snapshot(self._engine) as session:
            query = select(EventRow.seq, EventRow.payload).where(EventRow.kind == KIND).order_by(col(EventRow.seq))
            if since is not None:
                query = query.where(col(EventRow.seq) >= _first_since(session, since))
            entries = [Entry(seq, _read(seq, payload)) for seq, payload in session.exec(query)]
            older = [*_older_overrides(session, entries, pass_number), *_older_quarantines(session, entries)]
        entries += [Entry(None, act) for act in older if since is None or act.at >= since]
        return sorted(entries, key=lambda entry: entry.act.at)

    def acts_named(self, act: str) -> list[Entry]:
        """Every act of a name in the chain, oldest first."""
        query = select(EventRow.seq, EventRow.payload).where(EventRow.kind == KIND, EventRow.subject == act)
        with snapshot(self._engine) as session:
            found = session.exec(query.order_by(col(EventRow.seq)))
            return [Entry(seq, _read(seq, payload)) for seq, payload in found]

    def last_act(self, act: str) -> Entry | None:
        """The newest act of a name; None where there is none."""
        query = (
            select(EventRow.seq, EventRow.payload)
            .where(EventRow.kind == KIND, EventRow.subject == act)
            .order_by(col(EventRow.seq).desc())
            .limit(1)
        )
        with snapshot(self._engine) as session:
            last = session.exec(query).first()
            return None if last is None else Entry(last[0], _read(*last))


def append_act(session: Session, act: PersonAct) -> None:
    """Add an act to the chain, within an open transaction."""
    append(session, act.at, KIND, act.act, act.model_dump(mode="json"))


def _read(seq: int, payload: str) -> PersonAct:
    try:
        return PersonAct.model_validate(json.loads(payload))
    except (ValidationError, ValueError) as error:
        raise StoreError(
            f"entry {seq} of the chain is no act of a person as this version knows them: a newer autosurgeon wrote it, "
            "or it was changed; `autosurgeon audit verify` shows which"
        ) from error


def _first_since(session: Session, since: str) -> int:
    """The number of the first event from a time on, by binary search, since times have no index."""
    low, high = 1, (session.exec(select(func.max(EventRow.seq))).one() or 0) + 1
    while low < high:
        middle = (low + high) // 2
        at = session.exec(select(EventRow.at).where(EventRow.seq == middle)).first()
        if at is None or at < since:
            low = middle + 1
        else:
            high = middle
    return low


def _older_overrides(session: Session, entries: list[Entry], pass_number: int | None) -> list[PersonAct]:
    query = select(DecisionRow.record).where(DecisionRow.action == "override").order_by(col(DecisionRow.seq))
    if pass_number is not None:
        query = query.where(DecisionRow.pass_number == pass_number)
    known = {entry.act.decision for entry in entries}
    decisions = [Decision.model_validate_json(record) for record in session.exec(query)]
    return [
        PersonAct(
            act="override",
            who=Person(login=decision.override.by),
            at=decision.at,
            reason=decision.override.reason,
            until=decision.override.expires_at,
            pass_number=decision.pass_number,
            decision=decision.decision_id,
        )
        for decision in decisions
        if decision.override is not None and decision.decision_id not in known
    ]


def _older_quarantines(session: Session, entries: list[Entry]) -> list[PersonAct]:
    known = {(entry.act.task, entry.act.at) for entry in entries}
    rows = session.exec(select(QuarantineRow).order_by(col(QuarantineRow.id)))
    return [
        PersonAct(
            act="quarantine",
            who=Person(login=row.by),
            at=row.at,
            reason=row.reason,
            until=row.expires_at,
            task=row.task_id,
        )
        for row in rows
        if (row.task_id, row.at) not in known
    ]
