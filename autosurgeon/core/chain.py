"""The chain of events: each entry carries the hash of the one before it, so that none can be changed unseen.

Pure arithmetic: the store appends by it, and the audit walks by it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import rfc8785

GENESIS = "0" * 64
"""What the first entry names as the hash before it."""
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
    """The hash of the entry before."""
    hash: str


class Head(NamedTuple):
    """How long a chain is, and the hash of its last entry."""

    size: int
    hash: str


DECISION_COLUMNS = ("pass_number", "phase", "verdict", "action", "at")
"""What a decision's row repeats of its record, so that it can be found by it."""


class DecisionEntry(NamedTuple):
    """A decision's row, as an event of the chain has to say it."""

    decision_id: str
    record: str
    """JSON."""
    columns: tuple[Any, ...]
    """In the order of DECISION_COLUMNS."""

    def differing(self, content: dict[str, Any]) -> str:
        """The first column that says another thing than the record's content; empty where none does."""
        judgement = content.get("judgement") or {}
        wanted = {"phase": judgement.get("phase"), "verdict": judgement.get("verdict")}
        told = zip(DECISION_COLUMNS, self.columns, strict=True)
        return next((name for name, value in told if value != wanted.get(name, content.get(name))), "")


class Break(NamedTuple):
    """An entry that does not belong where it stands."""

    seq: int
    what: str
    got: str
    wanted: str


def payload_text(content: Any) -> str:
    """A payload's one spelling, by RFC 8785.

    What that has no spelling for (integers beyond 2^53, NaN, half a surrogate pair) is told as text first: an event
    that cannot be written would stop the loop.
    """
    try:
        return rfc8785.dumps(content).decode()
    except rfc8785.CanonicalizationError:
        return rfc8785.dumps(_spellable(content)).decode()


def link(head: Head, at: str, kind: str, subject: str, payload: str) -> Event:
    """The entry that follows."""
    bare = Event(head.size + 1, at, kind, subject, payload, head.hash, "")
    return bare._replace(hash=hash_of(bare))


def hash_of(event: Event) -> str:
    """SHA-256 over the canonical JSON of all its fields but the hash."""
    content = event._asdict()
    del content["hash"]
    return hashlib.sha256(_canonical(content)).hexdigest()


def line_of(event: Event) -> bytes:
    """The entry as the log holds it, with its line's end."""
    return _canonical(event._asdict()) + b"\n"


def digest_records(records: Iterable[str]) -> tuple[int, str]:
    """How many decision records, and SHA-256 over their canonical JSON, a line each."""
    count, digest = 0, hashlib.sha256()
    for record in records:
        digest.update(f"{payload_text(json.loads(record))}\n".encode())
        count += 1
    return count, digest.hexdigest()


class Walk:
    """Steps along a chain, an entry at a time, and says where it breaks."""

    def __init__(self) -> None:
        self.head = Head(0, GENESIS)

    def step(self, event: Event) -> Break | None:
        """Take the next entry; what is wrong with it, if anything is."""
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
    # For ASCII keys with texts and small integers, `json` spells what RFC 8785 does, at a tenth of the time; a test
    # holds the two against each other. Half a surrogate is only met in what was damaged, and must have some hash.
    return _ENCODER.encode(content).encode("utf-8", "surrogatepass")


def _spellable(value: Any) -> Any:
    if isinstance(value, dict):
        return {_spellable(key): _spellable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spellable(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    is_wide = isinstance(value, int) and abs(value) > _SAFE_INTEGER
    return str(value) if is_wide or (isinstance(value, float) and not math.isfinite(value)) else value
