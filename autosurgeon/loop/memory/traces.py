"""Traces of earlier runs in a workspace's folder, compared with its memory, so that no loop starts over by mistake.

The database is the only memory, and the folder shows what it must hold: a live version, signed checkpoints, logs,
packs, reports, keys. A memory that holds less is an old copy, and one that differs belongs to another workspace.
Files that are behind the memory are valid, since a crash leaves them so; so is an empty memory beside an imported
base alone, after a first run that was killed before its first commit.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from autosurgeon.audit.signing import PRIVATE, PUBLIC
from autosurgeon.core.hash_chain import Event, Head
from autosurgeon.core.pack import MANIFEST_FILE
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import WorkspaceError
from autosurgeon.packs.livefile import LiveClaim, read_live
from autosurgeon.store.address import place_name
from autosurgeon.store.database import has_memory
from autosurgeon.store.place import refuse_other_than_folder, refuse_read_only, why_read_only
from autosurgeon.store.sqlstore import SqlStore

_PACK = re.compile(r"[0-9a-f]{64}")
_CHECKPOINT = re.compile(r"(\d{8,})\.json")
_PASS = re.compile(r"pass-\d{4,}(\.md|\.html)?")
TAIL_BYTES = 8 << 20
"""The bytes that are read from a log's end: more than its longest line."""


class Traces(NamedTuple):
    """The traces of earlier runs in a workspace's folder, read without the memory."""

    live: LiveClaim | None
    checkpoints: tuple[Path, ...]
    """The newest signed checkpoints, by the length of their chain, the longest first."""
    event: Head | None
    """The last readable entry of `logs/events.jsonl`; of size 0 where the log has no readable entry."""
    decision: str | None
    """The last readable decision of `logs/decisions.jsonl`; empty where the log has none."""
    packs: tuple[str, ...]
    passes: int
    """The folders of passes."""
    reports: int
    keys: bool

    @property
    def summary(self) -> str:
        """The traces, for a message."""
        parts = [
            f"live version {self.live.version}, pack {self.live.pack[:12]}" if self.live and self.live.pack else ""
        ]
        parts += ["a damaged live.json" if self.live and not self.live.pack else ""]
        parts += [f"checkpoint {int(self.checkpoints[0].stem)}" if self.checkpoints else ""]
        parts += [f"{self.event.size} events" if self.event and self.event.size else "an event log" * bool(self.event)]
        parts += ["a decision log" if self.decision is not None else "", _count(len(self.packs), "pack")]
        parts += [
            _count(self.reports, "report"),
            "signing keys" if self.keys else "",
            _count(self.passes, "pass folder"),
        ]
        return ", ".join(part for part in parts if part) or "nothing"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}" if number else ""


def read_traces(workspace: Workspace) -> Traces:
    """Read the traces; the length of a log does not matter, and nothing is written."""
    entries = (event_of(line) for line in last_lines(workspace.events))
    event = next((Head(entry.seq, entry.hash) for entry in entries if entry is not None), Head(0, ""))
    decisions = (decision_id_of(line) for line in last_lines(workspace.decisions))
    return Traces(
        live=read_live(workspace.live_file),
        checkpoints=_checkpoints(workspace.checkpoints),
        event=event if _has_content(workspace.events) else None,
        decision=next((name for name in decisions if name), "") if _has_content(workspace.decisions) else None,
        packs=tuple(sorted(name for name in _names(workspace.packs) if _PACK.fullmatch(name))),
        passes=sum(bool(_PASS.fullmatch(name)) for name in _names(workspace.passes)),
        reports=sum(name.endswith(".md") and bool(_PASS.fullmatch(name)) for name in _names(workspace.reports)),
        keys=any((workspace.keys / name).is_file() for name in (PRIVATE, PUBLIC)),
    )


def prove_life(workspace: Workspace, traces: Traces) -> bool:
    """Whether the traces show a commit; an imported base alone or an empty log does not."""
    found = (traces.live, traces.checkpoints, traces.event, traces.passes, traces.reports, traces.keys)
    if any(found) or traces.event is not None or traces.decision is not None:
        return True
    return any(_is_trained(workspace.packs / pack / MANIFEST_FILE) for pack in traces.packs)


@contextlib.contextmanager
def open_memory(
    workspace: Workspace, where: Path | str, *, create: bool = False, writes: bool = False, unchecked: bool = False
) -> Iterator[SqlStore]:
    """Open the memory of a workspace; it is refused where it does not match the folder.

    Args:
        workspace: the workspace.
        where: the SQLite file or the PostgreSQL URL.
        create: create a memory where there is neither one nor a trace of an earlier one.
        writes: refuse a read-only folder, and a memory none of whose packs are in the folder. Without
            it, a read-only folder is opened for reading.
        unchecked: refuse only a missing or empty memory: for commands that find faults.

    Raises:
        WorkspaceError: the memory is refused, or cannot be opened.

    """
    refuse_other_than_folder(workspace)
    if writes:
        refuse_read_only(workspace)
    traces = read_traces(workspace)  # before the memory, since a running loop may add to both
    refuse_missing(workspace, traces, where)
    store = SqlStore(where, create=create, look_only=why_read_only(workspace) is not None)
    try:
        refuse_misfit(workspace, traces, where, store, writes=writes, unchecked=unchecked)
        yield store
    finally:
        store.close()


def refuse_missing(workspace: Workspace, traces: Traces, where: Path | str) -> None:
    """WorkspaceError where the folder has traces and there is no memory."""
    if prove_life(workspace, traces) and not has_memory(where):
        is_there = isinstance(where, str) or where.exists()
        raise refusal(workspace, traces, where, "is empty" if is_there else "is missing")


def refuse_misfit(
    workspace: Workspace, traces: Traces, where: Path | str, store: SqlStore, *, writes: bool, unchecked: bool
) -> None:
    """WorkspaceError where a memory does not match the folder; see `open_memory`."""
    if store.head().size == 0:
        if prove_life(workspace, traces):
            raise refusal(workspace, traces, where, "is empty")
    elif not unchecked and (why := mismatch(workspace, traces, store) or (_no_packs(traces, store) if writes else "")):
        raise refusal(workspace, traces, where, f"{memory_summary(store)}: {why}")


def refusal(workspace: Workspace, traces: Traces, where: Path | str, memory: str) -> WorkspaceError:
    """The error for a memory that does not hold the workspace's past."""
    beside = ""
    if not isinstance(where, Path) and workspace.database.is_file():
        beside = f", and {workspace.database} is not in use"
    return WorkspaceError(
        "this workspace has a past that its memory does not hold",
        got=f"{traces.summary}; the memory at {place_name(where)} {memory}{beside}",
        wanted="the memory of that past: point store.url (AUTOSURGEON_STORE__URL) at its database, put the file back, "
        f"or run `autosurgeon restore --workspace {workspace.root}`",
        where=workspace.root,
    )


def memory_summary(store: SqlStore) -> str:
    """The content of a memory, for a message."""
    live, size = store.live(), store.head().size
    return f"holds {size} events, {f'live version {live.version}' if live else 'no live version'}"


def mismatch(workspace: Workspace, traces: Traces, store: SqlStore) -> str:
    """Why a memory does not match the folder: it is outdated, or another workspace's; empty where it may match."""
    head, live = store.head(), store.live()
    claims = [claim for path in traces.checkpoints if (claim := claim_of(path)) is not None]
    known = next((claim for claim in claims if claim.size <= head.size), None)
    if known is not None and store.hash_at(known.size) != known.hash:
        return f"it is another workspace's, or was rewritten: checkpoint {known.size} names another entry"
    if claims and claims[0].size > head.size:
        return f"it is behind: checkpoint {claims[0].size} was signed when it was longer"
    if traces.event is not None and traces.event.size > head.size:
        return f"it is behind: {workspace.events.name} goes to entry {traces.event.size}"
    if traces.event is not None and traces.event.size and store.hash_at(traces.event.size) != traces.event.hash:
        return (
            f"it is another workspace's, or was rewritten: entry {traces.event.size} of {workspace.events.name} is "
            "not its own; `autosurgeon audit verify` names the first difference"
        )
    if traces.live is not None:
        version = live.version if live else 0
        if traces.live.version > version:
            return f"it is behind: {workspace.live_file.name} is of version {traces.live.version}"
        is_whole = bool(traces.live.version and traces.live.pack)
        if is_whole and (theirs := store.live_pack_of(traces.live.version)) != traces.live.pack:
            named = theirs[:12] if theirs else "none"
            return f"it is another workspace's: its version {traces.live.version} is pack {named}"
    if not traces.event and traces.decision and store.place_of(traces.decision) is None:
        return f"it is behind, or another workspace's: it has no decision {traces.decision}"
    return ""


def _no_packs(traces: Traces, store: SqlStore) -> str:
    live = store.live()
    if (
        live is None
        or live.pack in traces.packs
        or {manifest.digest for manifest, _, _ in store.packs()} & {*traces.packs}
    ):
        return ""
    return "it is another workspace's: none of its packs lies here"


def claim_of(path: Path) -> Head | None:
    """The head that a checkpoint names, without a check of its signature; None where it is unreadable."""
    try:
        content = json.loads(base64.b64decode(json.loads(path.read_bytes())["payload"]))
        return Head(int(content["size"]), str(content["head"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None  # `audit verify` reports it


NEWEST = 20
"""The most checkpoints that are read; the newest of thousands decide."""


def _checkpoints(folder: Path) -> tuple[Path, ...]:
    names = sorted((name for name in _names(folder) if _CHECKPOINT.fullmatch(name)), key=lambda name: int(name[:-5]))
    return tuple(folder / name for name in reversed(names[-NEWEST:]))


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _is_trained(manifest: Path) -> bool:
    """Whether a pack has a parent, or an unreadable manifest."""
    try:
        return bool(json.loads(manifest.read_bytes())["lineage"]["parent"])
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError):
        return True


def last_lines(path: Path) -> Iterator[bytes]:
    """The complete lines at the end of a log, the last one first, without a truncated one."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        begin = max(0, size - TAIL_BYTES)
        # The last line is mostly short, and enough.
        for start in sorted({max(0, size - (1 << 16)), begin}, reverse=True):
            file.seek(start)
            lines = file.read(size - start).split(b"\n")[:-1]
            yield from reversed(lines if start == 0 else lines[1:])


def event_of(line: bytes) -> Event | None:
    """The entry of a log's line; None where it is none."""
    content = _mapping(line)
    try:
        return Event(**content) if isinstance(content.get("seq"), int) else None
    except TypeError:
        return None


def decision_id_of(line: bytes) -> str:
    """The id of the decision on a log's line; empty where there is none."""
    return str(_mapping(line).get("decision_id", ""))


def _mapping(line: bytes) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
