"""The hash chain of events: each entry carries the hash of the previous one, so that every change is detected.

Pure functions: the store appends with them, and the audit verifies with them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import rfc8785

GENESIS = "0" * 64
"""The previous hash of the first entry."""
_SAFE_INTEGER = 2**53 - 1
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class Event(NamedTuple):
    """An entry of the chain."""

    seq: int
    """1, 2, 3 and so on, without gaps."""
    at: str
    """UTC, ISO 8601."""
    kind: str
    subject: str
    """A decision's id, a pass, a run or a task."""
    payload: str
    """Canonical JSON by RFC 8785."""
    previous: str
    """The hash of the previous entry."""
    hash: str


class Head(NamedTuple):
    """The length of a chain and the hash of its last entry."""

    size: int
    hash: str


DECISION_COLUMNS = ("pass_number", "phase", "verdict", "action", "at")
"""The columns of a decision's row that repeat fields of its record, for queries."""


class DecisionEntry(NamedTuple):
    """A decision's row, as the event for it must contain it."""

    decision_id: str
    record: str
    """JSON."""
    columns: tuple[Any, ...]
    """In the order of DECISION_COLUMNS."""

    def differing(self, content: dict[str, Any]) -> str:
        """Return the first column that contradicts the record's content; empty if none does."""
        judgement = content.get("judgement") or {}
        wanted = {"phase": judgement.get("phase"), "verdict": judgement.get("verdict")}
        columns = zip(DECISION_COLUMNS, self.columns, strict=True)
        return next((name for name, value in columns if value != wanted.get(name, content.get(name))), "")


class Break(NamedTuple):
    """An entry that breaks the chain."""

    seq: int
    what: str
    got: str
    wanted: str


def payload_text(content: Any) -> str:
    """Return a payload as canonical JSON by RFC 8785.

    Values that RFC 8785 cannot encode (integers beyond 2^53, NaN, lone surrogates) become text first, because an event
    that cannot be written would stop the loop.
    """
    try:
        return rfc8785.dumps(content).decode()
    except rfc8785.CanonicalizationError:
        return rfc8785.dumps(_encodable(content)).decode()


def link(head: Head, at: str, kind: str, subject: str, payload: str) -> Event:
    """Return the entry that follows the head."""
    bare = Event(head.size + 1, at, kind, subject, payload, head.hash, "")
    return bare._replace(hash=hash_of(bare))


def hash_of(event: Event) -> str:
    """Return the SHA-256 of the canonical JSON of all fields except the hash."""
    content = event._asdict()
    del content["hash"]
    return hashlib.sha256(_canonical(content)).hexdigest()


def line_of(event: Event) -> bytes:
    """Return the entry as a line of the log, with its line break."""
    return _canonical(event._asdict()) + b"\n"


def digest_records(records: Iterable[str]) -> tuple[int, str]:
    """Return the number of decision records and the SHA-256 of their canonical JSON, one line each."""
    count, digest = 0, hashlib.sha256()
    for record in records:
        digest.update(f"{payload_text(json.loads(record))}\n".encode())
        count += 1
    return count, digest.hexdigest()


class Walk:
    """A walk along a chain, entry by entry, which reports where the chain breaks."""

    def __init__(self) -> None:
        self.head = Head(0, GENESIS)

    def step(self, event: Event) -> Break | None:
        """Take the next entry; return what is wrong with it, or None."""
        seq, head = self.head.size + 1, self.head
        self.head = Head(event.seq, event.hash)
        if event.seq < seq:
            return Break(event.seq, "an entry was inserted before the chain's own", str(event.seq), str(seq))
        if event.seq > seq:
            return Break(seq, "entries are missing: they were deleted, or moved", f"entry {event.seq}", f"entry {seq}")
        if event.previous != head.hash:
            what = "an entry does not follow the one before it: deleted, inserted, reordered or rewritten"
            return Break(seq, what, f"previous hash {event.previous[:16]}", head.hash[:16])
        if (found := hash_of(event)) != event.hash:
            return Break(seq, "an entry was changed after it was written", f"hash {found[:16]}", event.hash[:16])
        return None


def _canonical(content: dict[str, str | int]) -> bytes:
    # For ASCII keys with texts and small integers, `json` writes what RFC 8785 does, in a tenth of the time; a test
    # compares the two. Lone surrogates occur only in damaged data, which must have some hash.
    return _ENCODER.encode(content).encode("utf-8", "surrogatepass")


def _encodable(value: Any) -> Any:
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    is_wide = isinstance(value, int) and abs(value) > _SAFE_INTEGER
    return str(value) if is_wide or (isinstance(value, float) and not math.isfinite(value)) else value
