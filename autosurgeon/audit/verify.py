"""Verifying the chain of events: one walk, every source in step with it, in the same memory however long it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

from autosurgeon.audit.chainchecks import (
    ChainCheck,
    Check,
    CheckpointCheck,
    DecisionsCheck,
    EventLogCheck,
    Finding,
    Lines,
)
from autosurgeon.audit.checkpoints import Checkpoint, checkpoint_files, read_checkpoint, read_checkpoints
from autosurgeon.audit.keychecks import ExternalKeys, KeysCheck, read_folder
from autosurgeon.audit.keys import ROTATE, ActEntry, known_keys
from autosurgeon.audit.rotation import Rotation, Unvouched, read_rotation
from autosurgeon.audit.rowchecks import RowsCheck
from autosurgeon.core.chain import DecisionEntry, Event
from autosurgeon.core.row_lines import Replaced, Rows
from autosurgeon.core.value import Value
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import StoreError, UserError


class Extent(Protocol):
    """How far the tables went at one moment."""

    @property
    def events(self) -> int:
        """The last event's number."""

    @property
    def decisions(self) -> int:
        """The last decision's row."""

    @property
    def rows(self) -> Rows:
        """The other tables' ends."""


class Chain(Protocol):
    """What the store tells of the chain."""

    def extent(self) -> Extent:
        """How far it goes now."""

    def each_event(self, *, after: int | None = None, last: int | None = None) -> Iterator[Event]:
        """The events, by their numbers."""

    def each_record(self, *, last: int) -> Iterator[DecisionEntry]:
        """The decisions, oldest first."""

    def acts_named(self, act: str) -> Sequence[ActEntry]:
        """Every act of that name, oldest first."""

    def replaced(self) -> Mapping[str, Sequence[Replaced]]:
        """The stretches of entries whose rows a restoration replaced, by table."""

    def each_line(self, table: str, *, last: int) -> Iterator[bytes]:
        """The rows of a table that only grows, oldest first."""


class Verification(Value):
    """What the walk came to."""

    whole: bool
    size: int
    """Entries that were walked."""
    head: str
    """The last entry's hash."""
    checkpoints: int
    """Signatures that were checked."""
    first: Finding | None
    """The first bad entry, as near as any source can tell."""
    findings: tuple[Finding, ...]
    """The first fault of each source."""
    unvouched: tuple[Unvouched, ...] = ()
    """Where a key took over that its predecessor did not sign, since that was lost; no fault, and to be known."""


def verify(workspace: Workspace, store: Chain, against: Path | None = None) -> Verification:
    """Walk the whole chain.

    Args:
        workspace: whose logs and checkpoints are held against the chain.
        store: its memory.
        against: a checkpoint from elsewhere, such as a copy that was made at the time.

    Raises:
        UserError: `against` is no checkpoint.

    """
    # Files first, the database's extent after: what a loop at work adds meanwhile is in neither, or in the latter.
    folder, files = read_folder(workspace.keys), checkpoint_files(workspace.checkpoints)
    keys = KeysCheck(folder, _first_rotation(store))
    checkpoints = CheckpointCheck("checkpoint", read_checkpoints(files), keys.fault_of)
    beside = known_keys(against.parent) if against is not None else {}
    external = iter([_external(against)] if against is not None else [])
    other = CheckpointCheck("against", external, ExternalKeys(beside, keys).fault_of)
    chain = ChainCheck()
    with closing(Lines(workspace.events)) as events, closing(Lines(workspace.decisions)) as log:
        extent = store.extent()
        decisions = DecisionsCheck(store.each_record(last=extent.decisions), log)
        rows = RowsCheck(extent.rows, store.each_line, store.replaced())
        checks: list[Check] = [chain, keys, decisions, decisions.log, rows, EventLogCheck(events), checkpoints, other]
        size = _walk(store.each_event(last=extent.events), chain, checks)
        signed = int(files[-1].stem) if files else 0
        for check in checks:
            if check.finding is None:
                check.end(chain.head, signed)
        # Where the chain or a copy of it is broken, nobody knows what the rows should be that change.
        if not any(check.finding for check in checks):
            rows.end_of_all(chain.head)
    # A fault that is known to the entry says more than one that lies somewhere between two checkpoints.
    findings = sorted((c.finding for c in checks if c.finding), key=lambda found: (found.last, found.last - found.seq))
    return Verification(
        whole=not findings,
        size=size,
        head=chain.head.hash,
        checkpoints=checkpoints.count + other.count,
        first=findings[0] if findings else None,
        findings=tuple(findings),
        unvouched=tuple(keys.unvouched),
    )


def _walk(events: Iterable[Event], chain: ChainCheck, checks: list[Check]) -> int:
    size = 0
    try:
        for event in events:
            size += 1
            for check in checks:
                if check.finding is None:
                    check.step(event)
    except StoreError as error:
        if chain.finding is None:
            chain.find(chain.head.size + 1, "an entry cannot be read", got=str(error), wanted="text in UTF-8")
    return size


def _first_rotation(store: Chain) -> Rotation | None:
    """The first rotation, whose old key is the one that the chain began with; the walk finds what is wrong with it."""
    try:
        entries = store.acts_named(ROTATE)
        return read_rotation(entries[0].act) if entries else None
    except (StoreError, ValueError):
        return None


def _external(path: Path) -> Checkpoint:
    """A checkpoint from elsewhere; UserError where the file is none."""
    try:
        return read_checkpoint(path)
    except OSError as error:
        raise UserError("a checkpoint cannot be read", got=error.strerror, where=path) from error
    except ValueError as error:
        raise UserError("this is no checkpoint", got=error, wanted="a file of logs/checkpoints", where=path) from error
