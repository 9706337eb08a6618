"""What the logs of a workspace prove of its past: how far the chain verifies, and which checkpoints it bears.

The chain is in `logs/events.jsonl`, and in the database as far as that can be read. Where one begins as the other, the
longer one counts; where they part, the one that bears a signed checkpoint which the other does not, and else the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from autosurgeon.audit.chainchecks import Lines
from autosurgeon.audit.checkpoints import checkpoint_files
from autosurgeon.core.chain import Event, Head, Walk
from autosurgeon.core.workspace import Workspace
from autosurgeon.loop.memory.traces import claim_of, event_of
from autosurgeon.store.old_memory import Leftover

LONGEST_LINE = 1 << 30
"""Bytes of a log's line; a stage of a workspace from before the chain may be an entry of many megabytes."""


class Chain(NamedTuple):
    """One of the places that the chain is in."""

    source: str
    head: Head
    """The last entry up to which it verifies."""
    ends: str
    """Why it ends there; empty where there are simply no more entries."""
    borne: int
    """The longest checkpoint that it bears."""


class Proof(NamedTuple):
    """What is proven."""

    log: Chain
    memory: Chain
    shared: int
    """Entries that both have."""
    beyond: tuple[Path, ...]
    """Checkpoints that the better chain does not bear, though they can be read: it was longer, or another one."""

    @property
    def best(self) -> Chain:
        """The chain that the memory is made of."""
        if self.shared == min(self.log.head.size, self.memory.head.size):
            return self.memory if self.memory.head.size > self.log.head.size else self.log
        return self.memory if self.memory.borne > self.log.borne else self.log

    @property
    def log_is_prefix(self) -> bool:
        """Whether `logs/events.jsonl` is the beginning of the better chain, and nothing else."""
        return not self.log.ends and (self.best is self.log or self.shared == self.log.head.size)


class _Follow:
    """Follows one chain to its last good entry."""

    def __init__(self, source: str, entries: Iterator[Event | None], claims: dict[int, str]) -> None:
        self.source, self._entries, self._claims = source, entries, claims
        self._walk = Walk()
        self.head, self.ends, self.borne = self._walk.head, "", 0

    def step(self) -> Event | None:
        """The next good entry."""
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
        """What was found."""
        return Chain(self.source, self.head, self.ends, self.borne)


def prove(workspace: Workspace, leftover: Leftover | None) -> Proof:
    """Walk both chains, and hold the checkpoints against the better one.

    Args:
        workspace: whose logs and checkpoints.
        leftover: its memory, if there is one, in whatever state.

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
    """The entries of the better chain, up to its last good one."""
    is_log = proof.best is proof.log
    entries = log_events(workspace.events) if is_log or leftover is None else leftover.each_event(after=0)
    for event in entries:
        if event is None or event.seq == 0 or event.seq > proof.best.head.size:
            return
        yield event
        if event.seq == proof.best.head.size:
            return


UNREADABLE = Event(0, "", "", "", "", "", "")
"""Stands for a line that is no entry."""


def log_events(path: Path) -> Iterator[Event]:
    """The entries of a log; a line that is none is told as UNREADABLE, one that a crash cut short not at all."""
    lines = Lines(path)
    try:
        while (line := lines.take(LONGEST_LINE)) is not None:
            yield event_of(line) or UNREADABLE
    finally:
        lines.close()
