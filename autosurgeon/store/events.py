"""Appending to the chain: every important write adds an event, in its own transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from sqlmodel import Session, col, select

from autosurgeon.core.hash_chain import GENESIS, Event, Head, digest_records, link, payload_text
from autosurgeon.store.tables import DecisionRow, EventRow


def read_head(session: Session) -> Head:
    """The length and the last hash of the chain."""
    last = session.exec(select(EventRow.seq, EventRow.hash).order_by(col(EventRow.seq).desc()).limit(1)).first()
    return Head(*last) if last else Head(0, GENESIS)


def append(session: Session, at: str, kind: str, subject: str, content: Any) -> Event:
    """Add an event in the transaction of what it records."""
    # The state is written first, which takes the database's lock, so that no other append comes in between.
    session.flush()
    event = link(read_head(session), at, kind, subject, payload_text(content))
    session.add(EventRow(**event._asdict()))
    session.info["subject"] = subject
    return event


def adopt(connection: Connection, at: str) -> None:
    """Begin the chain of an older workspace with the digest of all its decisions."""
    with Session(connection) as session:
        if session.exec(select(EventRow.seq).limit(1)).first() is not None:
            return
        count, digest = digest_records(session.exec(select(DecisionRow.record).order_by(col(DecisionRow.seq))))
        if count:
            append(session, at, "adopted", "decisions", {"decisions": count, "digest": digest})
        session.commit()
