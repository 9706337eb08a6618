"""Checks of the chain of events, the decisions, both logs and checkpoints; each check stops at its first fault."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from autosurgeon.audit.checkpoints import Checkpoint
from autosurgeon.core.decision import Decision
from autosurgeon.core.digest import canonical_json
from autosurgeon.core.hash_chain import DecisionEntry, Event, Head, Walk, digest_records, line_of, payload_text
from autosurgeon.core.value import Value

MAX_LINE_BYTES = 8 << 20
REWRITTEN = "restore the entries since the last valid checkpoint from a copy; nothing after it can be trusted"
CUT_SHORT = "the log was cut short"
BEYOND_END = "the log has lines beyond the end of the database"
RESTORE = "restore the workspace from a copy, or find out who changed it; `audit log --json` shows its present content"


class Finding(Value):
    """A fault: where it is, what it is, and what to do next."""

    source: str
    """chain, decisions, events.jsonl, decisions.jsonl, checkpoint, or against."""
    seq: int
    """The first entry that may be faulty."""
    last: int
    """The last entry that may be the first faulty one; equals `seq` where the entry is known."""
    subject: str
    what: str
    got: str
    wanted: str
    todo: str

    @property
    def where(self) -> str:
        """The entry, or the range that contains it."""
        return f"entry {self.seq}" if self.seq == self.last else f"one of entries {self.seq} to {self.last}"


class Check:
    """A source that is compared with the events."""

    source = ""
    finding: Finding | None = None

    def step(self, event: Event) -> None:
        """Process the next event."""
        raise NotImplementedError

    def end(self, head: Head, signed: int) -> None:
        """Process the end; the workspace has a checkpoint of `signed` entries."""

    def find(
        self, seq: int, what: str, *, got: str, wanted: str, subject: str = "", last: int = 0, todo: str = RESTORE
    ) -> None:
        """Record the fault."""
        self.finding = Finding(
            source=self.source,
            seq=seq,
            last=last or seq,
            subject=subject,
            what=what,
            got=got,
            wanted=wanted,
            todo=todo,
        )


class ChainCheck(Check):
    """Compares each entry with its own hash and the previous one."""

    source = "chain"

    def __init__(self) -> None:
        self._walk = Walk()

    @property
    def head(self) -> Head:
        """The last processed entry."""
        return self._walk.head

    def step(self, event: Event) -> None:
        """Process the next event."""
        if broken := self._walk.step(event):
            self.find(broken.seq, broken.what, got=broken.got, wanted=broken.wanted, subject=event.subject)


class Lines:
    """A log up to its length when it was opened; an incomplete last line is ignored."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb") if path.is_file() else None
        self._bytes = path.stat().st_size if self._file else 0
        self._read = 0

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()

    def take(self, limit: int = MAX_LINE_BYTES) -> bytes | None:
        """Return at most `limit` bytes of the next line; None at the end."""
        raw = self._file.readline(limit) if self._file and self._read < self._bytes else b""
        self._read += len(raw)
        is_torn = not raw.endswith(b"\n") and self._read >= self._bytes
        return None if is_torn else raw


class LogCheck(Check):
    """Compares a log with the database; its lines may end before the database, but not before the newest checkpoint."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._ended_at = 0

    def _next_line(self, seq: int, limit: int = MAX_LINE_BYTES) -> bytes | None:
        """Read the next line; at the end of the log, note the entry."""
        line = self._lines.take(limit) if not self._ended_at else None
        if line is None:
            self._ended_at = self._ended_at or seq
        return line

    def end(self, head: Head, signed: int) -> None:
        """Process the end of the events."""
        if self._ended_at and self._ended_at <= signed:
            todo = "the database still has them; move this log aside, and the next run writes the lines again"
            wanted = f"all lines up to entry {signed}, as in the newest checkpoint"
            self.find(self._ended_at, CUT_SHORT, got="no more lines", wanted=wanted, todo=todo)
        elif not self._ended_at and (line := self._lines.take()) is not None:
            self.find(head.size + 1, BEYOND_END, got=_shown(line), wanted="no more")


class EventLogCheck(LogCheck):
    """Compares `logs/events.jsonl`, one event per line, with the database."""

    source = "events.jsonl"

    def step(self, event: Event) -> None:
        """Process the next event."""
        wanted = line_of(event)
        line = self._next_line(event.seq, len(wanted) + 1)
        if line is not None and line != wanted:
            what = "the log and the database differ in an entry"
            self.find(event.seq, what, got=_shown(line), wanted=_shown(wanted), subject=event.subject)


class DecisionsCheck(Check):
    """Compares the decisions' table with the events, row by row."""

    source = "decisions"

    def __init__(self, records: Iterator[DecisionEntry], log: Lines) -> None:
        self._records = records
        self.log = _DecisionLog(log)

    def step(self, event: Event) -> None:
        """Process the next event."""
        self.log.seq = event.seq
        try:
            if event.kind == "decision":
                self._decision(event)
            elif event.kind == "adopted":
                self._adopted(event)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            what = "a decision cannot be read"
            self.find(event.seq, what, got=str(error), wanted="its record, as JSON", subject=event.subject)

    def end(self, head: Head, signed: int) -> None:
        """Process the end of the events."""
        if left := next(self._take(), None):
            what, name = "a decision in the database has no event: the chain was cut short", left.decision_id
            self.find(head.size + 1, what, got=name, wanted="an event for each decision", subject=name)

    def _decision(self, event: Event) -> None:
        found = next(self._take(), None)
        if found is None or found.decision_id != event.subject:
            what = "a decision's row is missing or out of order"
            got = found.decision_id if found else "no more rows"
            self.find(event.seq, what, got=got, wanted=event.subject, subject=event.subject)
            return
        content = json.loads(found.record)
        if not _is_same_record(content, event.payload):
            got = _differing(content, event.payload)
        elif column := found.differing(content):
            got = f"a different {column} in its columns"
        else:
            return
        what = "a decision's row differs from its event"
        self.find(event.seq, what, got=got, wanted="no difference", subject=event.subject)

    def _adopted(self, event: Event) -> None:
        wanted = json.loads(event.payload)
        rows = itertools.islice(self._take(), int(wanted["decisions"]))
        count, digest = digest_records(row.record for row in rows)
        if (count, digest) != (wanted["decisions"], wanted["digest"]):
            what = "a decision older than the chain was changed or deleted"
            got = f"{count} decisions, digest {digest[:16]}"
            self.find(event.seq, what, got=got, wanted=f"{wanted['decisions']}, {wanted['digest'][:16]}")

    def _take(self) -> Iterator[DecisionEntry]:
        for entry in self._records:
            if self.log.finding is None:
                self.log.row(entry.decision_id, entry.record)
            yield entry


class _DecisionLog(LogCheck):
    """Compares `logs/decisions.jsonl`, one decision per line, with each row that DecisionsCheck reads."""

    source = "decisions.jsonl"
    seq = 0
    """The entry of the next row."""

    def step(self, event: Event) -> None:
        """Do nothing: the row of the event follows."""

    def row(self, decision_id: str, record: str) -> None:
        """Compare the next line with a row."""
        line = self._next_line(self.seq)
        if line is None or line == f"{canonical_json(json.loads(record))}\n".encode() or line == _as_now(record):
            return
        what, wanted = "the log and the database differ in a decision", f"the record of {decision_id}"
        self.find(self.seq, what, got=_shown(line), wanted=wanted, subject=decision_id)


class CheckpointCheck(Check):
    """Compares signed checkpoints with the chain, shortest first."""

    def __init__(self, source: str, checkpoints: Iterator[Checkpoint], fault_of: Callable[[Checkpoint], str]) -> None:
        """Take the checkpoints, and a function that returns why one of them is invalid."""
        self.source = source
        self.count = 0
        self._fault_of = fault_of
        self._checkpoints = checkpoints
        self._good = 0
        self._next = next(checkpoints, None)

    def step(self, event: Event) -> None:
        """Process the next event."""
        while self._next is not None and self._next.head.size <= event.seq and self.finding is None:
            self._hold(self._next, event)
            self._next = next(self._checkpoints, None)

    def end(self, head: Head, signed: int) -> None:
        """Process the end of the events."""
        if self._next is None:
            return
        if self._fault_of(self._next):
            self._hold(self._next, Event(head.size, "", "", "", "", "", head.hash))
            return
        size = self._next.head.size
        what = f"the chain was cut short: {self._next.path.name} was signed when it was longer"
        self.find(head.size + 1, what, got=f"{head.size} entries", wanted=f"at least {size}", todo=REWRITTEN)

    def _hold(self, checkpoint: Checkpoint, event: Event) -> None:
        name, size = checkpoint.path.name, checkpoint.head.size
        self.count += 1
        if wrong := self._fault_of(checkpoint):
            got, todo = f"{name} {wrong}", "compare it with its copy (setting audit.checkpoint_copy)"
            what = "a checkpoint is invalid"
            self.find(size, what, got=got, wanted="the workspace's own signature", todo=todo)
        elif (event.seq, event.hash) == checkpoint.head:
            self._good = size
        else:
            what = f"the chain was rewritten after {name} was signed"
            got = f"hash {event.hash[:16]}" if event.seq == size else f"entry {event.seq}"
            wanted = f"entry {size} with hash {checkpoint.head.hash[:16]}"
            first = min(self._good + 1, size)
            self.find(first, what, got=got, wanted=wanted, last=size, subject=event.subject, todo=REWRITTEN)


def _is_same_record(content: Any, payload: str) -> bool:
    """Whether a row's record equals the event's payload."""
    # The first form is fast and equal for nearly every record; where it differs, the exact form decides.
    return canonical_json(content) == payload or payload_text(content) == payload


def _as_now(record: str) -> bytes:
    """Return a record of an older version in the form that this version writes into the log."""
    try:
        return f"{canonical_json(Decision.model_validate_json(record).record())}\n".encode()
    except ValueError:
        return b""


def _differing(row: Any, payload: str) -> str:
    """Name the first field in which two records differ."""
    event = json.loads(payload)
    names = [name for name in sorted({*row, *event}) if payload_text(row.get(name)) != payload_text(event.get(name))]
    return f"a different {names[0]}" if names else "a different spelling"


def _shown(line: bytes) -> str:
    return line[:120].decode(errors="replace").rstrip("\n")
