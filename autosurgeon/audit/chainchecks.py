"""What is held against the chain of events: itself, the decisions, both logs, checkpoints; each to its first fault."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from autosurgeon.audit.checkpoints import Checkpoint
from autosurgeon.core.chain import DecisionEntry, Event, Head, Walk, digest_records, line_of, payload_text
from autosurgeon.core.decision import Decision
from autosurgeon.core.digest import canonical_json
from autosurgeon.core.value import Value

MAX_LINE_BYTES = 8 << 20
REWRITTEN = "take the entries since the last good checkpoint from a copy; nothing after it can be believed"
CUT_SHORT = "the log was cut short"
RESTORE = "restore the workspace from a copy, or find out who changed it; `audit log --json` shows what it says now"


class Finding(Value):
    """A fault: where, what, and what to do next."""

    source: str
    """chain, decisions, events.jsonl, decisions.jsonl, checkpoint, or against."""
    seq: int
    """The first entry that may be bad."""
    last: int
    """The last that the first bad one may be; the same as `seq` where that is known."""
    subject: str
    what: str
    got: str
    wanted: str
    todo: str

    @property
    def where(self) -> str:
        """The entry, or the first and last that it may be."""
        return f"entry {self.seq}" if self.seq == self.last else f"one of entries {self.seq} to {self.last}"


class Check:
    """One source, held against the events."""

    source = ""
    finding: Finding | None = None

    def step(self, event: Event) -> None:
        """Take the next event."""
        raise NotImplementedError

    def end(self, head: Head, signed: int) -> None:
        """Hear that there are no more; `signed` entries have a checkpoint in the workspace."""

    def find(
        self, seq: int, what: str, *, got: str, wanted: str, subject: str = "", last: int = 0, todo: str = RESTORE
    ) -> None:
        """Note the fault."""
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
    """Each entry against its own hash and the one before it."""

    source = "chain"

    def __init__(self) -> None:
        self._walk = Walk()

    @property
    def head(self) -> Head:
        """The last entry that was seen."""
        return self._walk.head

    def step(self, event: Event) -> None:
        """Take the next event."""
        if broken := self._walk.step(event):
            self.find(broken.seq, broken.what, got=broken.got, wanted=broken.wanted, subject=event.subject)


class Lines:
    """A log as far as it went when it was opened; a last line that was cut short is not there yet."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb") if path.is_file() else None
        self._bytes = path.stat().st_size if self._file else 0
        self._read = 0

    def close(self) -> None:
        """Let go of the file."""
        if self._file:
            self._file.close()

    def take(self, limit: int = MAX_LINE_BYTES) -> bytes | None:
        """The next line, as much of it as `limit`; None at the end."""
        raw = self._file.readline(limit) if self._file and self._read < self._bytes else b""
        self._read += len(raw)
        is_torn = not raw.endswith(b"\n") and self._read >= self._bytes
        return None if is_torn else raw


class EventLogCheck(Check):
    """`logs/events.jsonl`, a line an event."""

    source = "events.jsonl"

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._ended_at = 0

    def step(self, event: Event) -> None:
        """Take the next event."""
        wanted = line_of(event)
        line = self._lines.take(len(wanted) + 1) if not self._ended_at else None
        if line is None:
            self._ended_at = self._ended_at or event.seq
        elif line != wanted:
            what = "the log and the database tell an entry differently"
            self.find(event.seq, what, got=_shown(line), wanted=_shown(wanted), subject=event.subject)

    def end(self, head: Head, signed: int) -> None:
        """Hear that there are no more."""
        if self._ended_at and self._ended_at <= signed:
            wanted = f"at least {signed} lines, as the newest checkpoint says"
            todo = "the database still has them; keep this log aside, and the next run writes the lines again"
            got = f"{self._ended_at - 1} lines"
            self.find(self._ended_at, CUT_SHORT, got=got, wanted=wanted, todo=todo)
        elif not self._ended_at and (line := self._lines.take()) is not None:
            self.find(head.size + 1, "the log goes on where the database ends", got=_shown(line), wanted="no more")


class DecisionsCheck(Check):
    """The decisions' own table against the events, row by row."""

    source = "decisions"

    def __init__(self, records: Iterator[DecisionEntry], log: Lines) -> None:
        self._records = records
        self.log = _DecisionLog(log)

    def step(self, event: Event) -> None:
        """Take the next event."""
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
        """Hear that there are no more."""
        if left := next(self._take(), None):
            what, name = "a decision stands in the database without an event: the chain was cut short", left.decision_id
            self.find(head.size + 1, what, got=name, wanted="an event of each decision", subject=name)

    def _decision(self, event: Event) -> None:
        found = next(self._take(), None)
        if found is None or found.decision_id != event.subject:
            what = "a decision's row is missing, or not where its event is"
            got = found.decision_id if found else "no more rows"
            self.find(event.seq, what, got=got, wanted=event.subject, subject=event.subject)
            return
        content = json.loads(found.record)
        if not _says(content, event.payload):
            got = _differing(content, event.payload)
        elif column := found.differing(content):
            got = f"another {column} in its columns"
        else:
            return
        what = "a decision's row says another thing than its event"
        self.find(event.seq, what, got=got, wanted="no difference", subject=event.subject)

    def _adopted(self, event: Event) -> None:
        wanted = json.loads(event.payload)
        rows = itertools.islice(self._take(), int(wanted["decisions"]))
        count, digest = digest_records(row.record for row in rows)
        if (count, digest) != (wanted["decisions"], wanted["digest"]):
            what = "a decision from before the chain was changed or deleted"
            got = f"{count} decisions, digest {digest[:16]}"
            self.find(event.seq, what, got=got, wanted=f"{wanted['decisions']}, {wanted['digest'][:16]}")

    def _take(self) -> Iterator[DecisionEntry]:
        for entry in self._records:
            if self.log.finding is None:
                self.log.row(entry.decision_id, entry.record)
            yield entry


class _DecisionLog(Check):
    """`logs/decisions.jsonl`, a line a decision; told of each row by the check of the rows."""

    source = "decisions.jsonl"

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.seq = 0
        self._ended_at = 0

    def step(self, event: Event) -> None:
        """Take the next event: nothing, its row follows."""

    def row(self, decision_id: str, record: str) -> None:
        """Hold the next line against a row."""
        line = self._lines.take() if not self._ended_at else None
        if line is None:
            self._ended_at = self._ended_at or self.seq
        elif line != f"{canonical_json(json.loads(record))}\n".encode() and line != _as_now(record):
            what = "the log and the database tell a decision differently"
            self.find(self.seq, what, got=_shown(line), wanted=f"the record of {decision_id}", subject=decision_id)

    def end(self, head: Head, signed: int) -> None:
        """Hear that there are no more."""
        if self._ended_at and self._ended_at <= signed:
            todo = "the database still has them; keep this log aside, and the next run writes the lines again"
            wanted = f"every decision up to entry {signed}, as the newest checkpoint says"
            self.find(self._ended_at, CUT_SHORT, got="no more lines", wanted=wanted, todo=todo)
        elif not self._ended_at and (line := self._lines.take()) is not None:
            self.find(head.size + 1, "the log goes on where the database ends", got=_shown(line), wanted="no more")


class CheckpointCheck(Check):
    """Signed checkpoints, in the order of their length."""

    def __init__(self, source: str, checkpoints: Iterator[Checkpoint], fault_of: Callable[[Checkpoint], str]) -> None:
        """Take what is held against the events, and a function for why one of them is not to be believed."""
        self.source = source
        self.count = 0
        self._fault_of = fault_of
        self._checkpoints = checkpoints
        self._good = 0
        self._next = next(checkpoints, None)

    def step(self, event: Event) -> None:
        """Take the next event."""
        while self._next is not None and self._next.head.size <= event.seq and self.finding is None:
            self._hold(self._next, event)
            self._next = next(self._checkpoints, None)

    def end(self, head: Head, signed: int) -> None:
        """Hear that there are no more."""
        if self._next is None:
            return
        if self._fault_of(self._next):
            self._hold(self._next, Event(head.size, "", "", "", "", "", head.hash))
            return
        size = self._next.head.size
        what = f"the chain was cut short: {self._next.path.name} was signed when it was longer"
        self.find(head.size + 1, what, got=f"{head.size} entries", wanted=f"{size} at least", todo=REWRITTEN)

    def _hold(self, checkpoint: Checkpoint, event: Event) -> None:
        name, size = checkpoint.path.name, checkpoint.head.size
        self.count += 1
        if wrong := self._fault_of(checkpoint):
            got, todo = f"{name} {wrong}", "compare it with its copy (audit.checkpoint_copy)"
            what = "a checkpoint cannot be believed"
            self.find(size, what, got=got, wanted="the workspace's own signature", todo=todo)
        elif (event.seq, event.hash) == checkpoint.head:
            self._good = size
        else:
            what = f"the chain was rewritten after {name} was signed"
            got = f"hash {event.hash[:16]}" if event.seq == size else f"entry {event.seq}"
            wanted = f"entry {size} with hash {checkpoint.head.hash[:16]}"
            first = min(self._good + 1, size)
            self.find(first, what, got=got, wanted=wanted, last=size, subject=event.subject, todo=REWRITTEN)


def _says(content: Any, payload: str) -> bool:
    """Whether a row's record is what the event holds."""
    # The first spelling is a quick one, the same for nearly every record; where it is not, the exact one decides.
    return canonical_json(content) == payload or payload_text(content) == payload


def _as_now(record: str) -> bytes:
    """A record of an older version, as this one writes it into the log."""
    try:
        return f"{canonical_json(Decision.model_validate_json(record).record())}\n".encode()
    except ValueError:
        return b""


def _differing(row: Any, payload: str) -> str:
    """The first field in which two records differ."""
    event = json.loads(payload)
    names = [name for name in sorted({*row, *event}) if payload_text(row.get(name)) != payload_text(event.get(name))]
    return f"another {names[0]}" if names else "another spelling"


def _shown(line: bytes) -> str:
    return line[:120].decode(errors="replace").rstrip("\n")
