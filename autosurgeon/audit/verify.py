"""Verification of the chain of events: one walk reads every source in step, in constant memory."""

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
from autosurgeon.core.hash_chain import DecisionEntry, Event
from autosurgeon.core.row_lines import Replaced, Rows
from autosurgeon.core.value import Value
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import StoreError, UserError


class Extent(Protocol):
    """The ends of the tables at one moment."""

    @property
    def events(self) -> int:
        """The last event's number."""

    @property
    def decisions(self) -> int:
        """The last decision's row number."""

    @property
    def rows(self) -> Rows:
        """The ends of the other tables."""


class Chain(Protocol):
    """The chain, as the store provides it."""

    def extent(self) -> Extent:
        """The present ends of the tables."""

    def each_event(self, *, after: int | None = None, last: int | None = None) -> Iterator[Event]:
        """The events in order of their numbers."""

    def each_record(self, *, last: int) -> Iterator[DecisionEntry]:
        """The decisions, oldest first."""

    def acts_named(self, act: str) -> Sequence[ActEntry]:
        """Every act of that name, oldest first."""

    def replaced(self) -> Mapping[str, Sequence[Replaced]]:
        """By table, the stretches of entries whose rows a restoration replaced."""

    def each_line(self, table: str, *, last: int) -> Iterator[bytes]:
        """The rows of an append-only table, oldest first."""


class Verification(Value):
    """The result of a verification."""

    whole: bool
    size: int
    """Number of entries read."""
    head: str
    """The last entry's hash."""
    checkpoints: int
    """Number of signatures checked."""
    first: Finding | None
    """The first faulty entry, as exactly as any source locates it."""
    findings: tuple[Finding, ...]
    """The first fault of each source."""
    unvouched: tuple[Unvouched, ...] = ()
    """Key rotations that the lost previous key did not sign; not a fault."""


def verify(workspace: Workspace, store: Chain, against: Path | None = None) -> Verification:
    """Verify the whole chain.

    Args:
        workspace: its logs and checkpoints are compared with the chain.
        store: its memory.
        against: an external checkpoint, such as a copy made at the time.

    Raises:
        UserError: `against` is not a checkpoint.

    """
    # The files are opened before the extent is read, so that entries of a running loop are at most in the extent.
    folder, files = read_folder(workspace.keys), checkpoint_files(workspace.checkpoints)
    keys = KeysCheck(folder, _first_rotation(store))
    checkpoints = CheckpointCheck("checkpoint", read_checkpoints(files), keys.fault_of)
    external_keys = known_keys(against.parent) if against is not None else {}
    external = iter([_external(against)] if against is not None else [])
    other = CheckpointCheck("against", external, ExternalKeys(external_keys, keys).fault_of)
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
        # Where the chain or a copy of it is broken, the right values of changing rows are unknown.
        if not any(check.finding for check in checks):
            rows.end_of_all(chain.head)
    # A fault located to the entry is more precise than one between two checkpoints.
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
    """Read the first rotation, whose old key is the chain's first; the walk reports its faults."""
    try:
        entries = store.acts_named(ROTATE)
        return read_rotation(entries[0].act) if entries else None
    except (StoreError, ValueError):
        return None


def _external(path: Path) -> Checkpoint:
    """Read an external checkpoint; UserError where the file is not one."""
    try:
        return read_checkpoint(path)
    except OSError as error:
        raise UserError("a checkpoint cannot be read", got=error.strerror, where=path) from error
    except ValueError as error:
        raise UserError(
            "this is not a checkpoint", got=error, wanted="a file of logs/checkpoints", where=path
        ) from error
