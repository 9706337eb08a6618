"""Verification of a workspace's chain: its longest valid part, and the checkpoints that it confirms.

The chain is in `logs/events.jsonl`, and in the readable part of the database. If one is a prefix of the other, the
longer one counts; if they differ, the one that confirms a later signed checkpoint, and else the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from autosurgeon.audit.chainchecks import Lines
from autosurgeon.audit.checkpoints import checkpoint_files
from autosurgeon.core.hash_chain import Event, Head, Walk
from autosurgeon.core.workspace import Workspace
from autosurgeon.loop.memory.traces import claim_of, event_of
from autosurgeon.store.old_memory import Leftover

LONGEST_LINE = 1 << 30
"""The most bytes of a log's line; a stage of an old workspace may be an entry of many megabytes."""


class Chain(NamedTuple):
    """One copy of the chain."""

    source: str
    head: Head
    """The last entry that verifies."""
    ends: str
    """Why it ends there; empty at the end of the file or table."""
    borne: int
    """The longest checkpoint that it confirms."""


class Proof(NamedTuple):
    """The result of the verification."""

    log: Chain
    memory: Chain
    shared: int
    """The number of entries that both have."""
    beyond: tuple[Path, ...]
    """Readable checkpoints that the better chain does not confirm: it was longer, or is another one."""

    @property
    def best(self) -> Chain:
        """The chain that the memory is rebuilt from."""
        if self.shared == min(self.log.head.size, self.memory.head.size):
            return self.memory if self.memory.head.size > self.log.head.size else self.log
        return self.memory if self.memory.borne > self.log.borne else self.log

    @property
    def log_is_prefix(self) -> bool:
        """Whether `logs/events.jsonl` is a prefix of the better chain."""
        return not self.log.ends and (self.best is self.log or self.shared == self.log.head.size)


class _Follow:
    """Follows one chain to its last valid entry."""

    def __init__(self, source: str, entries: Iterator[Event | None], claims: dict[int, str]) -> None:
        self.source, self._entries, self._claims = source, entries, claims
        self._walk = Walk()
        self.head, self.ends, self.borne = self._walk.head, "", 0

    def step(self) -> Event | None:
        """The next valid entry."""
        event = next(self._entries, None) if not self.ends else None
        if event is None:
            return None
        if event.seq == 0:
            self.ends = f"entry {self.head.size + 1} cannot be read"
        elif broken := self._walk.step(event):
            self.ends = f"entry {self.head.size + 1} is no continuation: {broken.what}"
        if self.ends:
            return None
        self.head = Head(event.seq, event.hash)
        if self._claims.get(event.seq) == event.hash:
            self.borne = event.seq
        return event

    def chain(self) -> Chain:
        """The verified chain."""
        return Chain(self.source, self.head, self.ends, self.borne)


def prove(workspace: Workspace, leftover: Leftover | None) -> Proof:
    """Verify both chains, and compare the checkpoints with the better one.

    Args:
        workspace: the workspace with logs and checkpoints.
        leftover: its memory, if there is one, in any state.

    """
    files = {path: claim for path in checkpoint_files(workspace.checkpoints) if (claim := claim_of(path)) is not None}
    claims = dict(files.values())
    log = _Follow(workspace.events.name, log_events(workspace.events), claims)
    memory = _Follow("the memory", leftover.each_event(after=0) if leftover else iter(()), claims)
    shared = 0
    while True:
        one, other = log.step(), memory.step()
        if one is None and other is None:
            break
        if one == other:
            shared += 1
    proof = Proof(log.chain(), memory.chain(), shared, ())
    hashes: dict[int, str] = {}
    for event in best_events(workspace, leftover, proof):
        if event.seq in claims:
            hashes[event.seq] = event.hash
    return proof._replace(beyond=tuple(path for path, claim in files.items() if hashes.get(claim.size) != claim.hash))


def best_events(workspace: Workspace, leftover: Leftover | None, proof: Proof) -> Iterator[Event]:
    """The entries of the better chain, up to its last valid one."""
    is_log = proof.best is proof.log
    entries = log_events(workspace.events) if is_log or leftover is None else leftover.each_event(after=0)
    for event in entries:
        if event is None or event.seq == 0 or event.seq > proof.best.head.size:
            return
        yield event
        if event.seq == proof.best.head.size:
            return


UNREADABLE = Event(0, "", "", "", "", "", "")
"""The placeholder of a line that is no entry."""


def log_events(path: Path) -> Iterator[Event]:
    """The entries of a log; an invalid line gives UNREADABLE, a truncated last line nothing."""
    lines = Lines(path)
    try:
        while (line := lines.take(LONGEST_LINE)) is not None:
            yield event_of(line) or UNREADABLE
    finally:
        lines.close()
