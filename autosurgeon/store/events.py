"""Appending to the chain: every write of the store that matters leaves an event, in its own transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from sqlmodel import Session, col, select

from autosurgeon.core.chain import GENESIS, Event, Head, digest_records, link, payload_text
from autosurgeon.store.tables import DecisionRow, EventRow


def append(session: Session, at: str, kind: str, subject: str, content: Any) -> Event:
    """Add an event of what this transaction has written; both are kept, or neither is."""
    # The state goes first: its write takes the database's one lock, so nobody appends between our reading and writing.
    session.flush()
    last = session.exec(select(EventRow.seq, EventRow.hash).order_by(col(EventRow.seq).desc()).limit(1)).first()
    event = link(Head(*last) if last else Head(0, GENESIS), at, kind, subject, payload_text(content))
    session.add(EventRow(**event._asdict()))
    session.info["subject"] = subject
    return event


def adopt(connection: Connection, at: str) -> None:
    """Begin the chain of a workspace that has decisions from before there was one, with the digest of them all."""
    with Session(connection) as session:
        if session.exec(select(EventRow.seq).limit(1)).first() is not None:
            return
        count, digest = digest_records(session.exec(select(DecisionRow.record).order_by(col(DecisionRow.seq))))
        if count:
            append(session, at, "adopted", "decisions", {"decisions": count, "digest": digest})
        session.commit()
