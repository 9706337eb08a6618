"""Restoration: a lost, outdated or damaged memory is rebuilt from the logs, as far as they verify.

The new memory is built and verified beside the old one, and replaces it by one rename, or on PostgreSQL in one
transaction, so that a crash leaves one of both. Nothing is deleted: the old file, invalid logs and unconfirmed
checkpoints are kept under names with the time.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from autosurgeon.audit.chainchecks import CUT_SHORT
from autosurgeon.audit.checkpoints import is_forged
from autosurgeon.audit.keys import known_keys
from autosurgeon.audit.verify import Verification, verify
from autosurgeon.core.decision import Decision
from autosurgeon.core.person import PersonAct
from autosurgeon.core.records import Live
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import PackError, StoreError, WorkspaceError
from autosurgeon.loop.decide.settle import write_logs
from autosurgeon.loop.memory.log_proof import Proof, best_events, prove
from autosurgeon.loop.memory.move_aside import move_aside, put_in_place
from autosurgeon.loop.memory.traces import mismatch, read_traces
from autosurgeon.packs.livefile import read_live, write_live
from autosurgeon.packs.packstore import PackStore
from autosurgeon.store.address import place_name
from autosurgeon.store.copy_memory import new_memory
from autosurgeon.store.database import has_memory, is_damage, utc_now
from autosurgeon.store.lock import workspace_lock
from autosurgeon.store.old_memory import Leftover
from autosurgeon.store.place import refuse_read_only
from autosurgeon.store.rebuild_rows import Rebuild, Restored
from autosurgeon.store.restorations import append_restored
from autosurgeon.store.sqlstore import SqlStore

ACCEPT_LOSS = "--accept-loss"
BELIEVED = ("chain", "decisions", "rows")
"""The sources of an audit that concern the memory; a fault in a log or a checkpoint does not."""


class Report(NamedTuple):
    """The result of a restoration, for people."""

    restored: Restored | None
    """None where the memory was intact and nothing was rebuilt."""
    entries: int
    """The number of entries of the chain that the memory was rebuilt from."""
    source: str
    why: str
    """The fault of the old memory."""
    live: Live | None
    live_damage: str
    """The fault of the live pack; empty where every byte of it was read back."""
    aside: tuple[Path, ...]
    """The files that were moved aside."""
    notes: tuple[str, ...]


class _Asked(NamedTuple):
    workspace: Workspace
    where: Path | str
    act: PersonAct
    accept_loss: bool
    progress: Callable[[int, int], None]


def restore(
    workspace: Workspace,
    where: Path | str,
    act: PersonAct,
    *,
    accept_loss: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Rebuild the memory if it is lost, outdated, damaged or another workspace's.

    Args:
        workspace: the workspace, without a running loop.
        where: the address in the settings.
        act: the act of the person who restores.
        accept_loss: continue even if the logs prove less than a checkpoint or live.json names.
        progress: called with the entries taken, and with their total.

    Raises:
        WorkspaceError: a loop is running, there is nothing to restore from, the logs prove less than the last
            checkpoint, or a PostgreSQL database holds another memory.

    """
    asked = _Asked(workspace, where, act, accept_loss, progress)
    if not workspace.root.is_dir():
        raise WorkspaceError("there is no workspace here", where=workspace.root)
    refuse_read_only(workspace)
    with workspace_lock(workspace.lock), contextlib.ExitStack() as stack:
        why = _fault(asked)
        leftover = stack.enter_context(Leftover(where)) if has_memory(where) else None
        proof = prove(workspace, leftover)
        if not why and not proof.beyond:
            return _already_whole(asked, proof)
        _refuse_loss(asked, proof)
        _refuse_other(asked, proof)
        return _make_again(asked, why, proof, leftover)


def _fault(asked: _Asked) -> str:
    """The fault of the memory; empty where it is intact and matches the folder."""
    if not has_memory(asked.where):
        return "it is missing"
    try:
        store = SqlStore(asked.where)
    except WorkspaceError as error:
        if is_damage(str(error)):
            return "it is damaged"
        raise
    with contextlib.closing(store):
        try:
            if store.head().size == 0:
                return "it is empty"
            first = _first_fault(verify(asked.workspace, store))
            return first or mismatch(asked.workspace, read_traces(asked.workspace), store)
        except StoreError as error:
            if is_damage(str(error)):
                return "it is damaged"
            raise


def _first_fault(found: Verification) -> str:
    faults = [fault for fault in found.findings if fault.source in BELIEVED]
    return f"{faults[0].where}: {faults[0].what}" if faults else ""


def _already_whole(asked: _Asked, proof: Proof) -> Report:
    with contextlib.closing(SqlStore(asked.where)) as store:
        live = store.live()
    return Report(None, proof.memory.head.size, "", "", live, _damage_of(asked.workspace, live), (), ())


def _refuse_loss(asked: _Asked, proof: Proof) -> None:
    """WorkspaceError where less is proven than the folder names, unless the loss is accepted."""
    best, claim = proof.best, read_live(asked.workspace.live_file)
    if best.head.size == 0:
        raise WorkspaceError(
            "there is nothing to restore from",
            got=f"{best.ends or 'no entry'} in {asked.workspace.events}",
            wanted="a backup (`autosurgeon restore --from FILE`), the database, or its logs; else another --workspace",
            where=asked.workspace.root,
        )
    if asked.accept_loss:
        return
    keys = known_keys(asked.workspace.keys)
    longest = max((int(path.stem) for path in proof.beyond if not is_forged(path, keys)), default=0)
    live = _last_live(asked, proof)
    if longest:
        got = f"{best.head.size} entries in {best.source}{f' ({best.ends})' if best.ends else ''}"
        wanted = f"those up to checkpoint {longest}, or {ACCEPT_LOSS}, which goes on with less"
    elif claim is not None and claim.version > live:
        got = f"{best.head.size} entries in {best.source}, which end at live version {live}"
        wanted = f"those of live.json's version {claim.version}, or {ACCEPT_LOSS}, which goes on with less"
    else:
        return
    raise WorkspaceError("the logs prove less than was signed", got=got, wanted=wanted, where=asked.workspace.root)


def _last_live(asked: _Asked, proof: Proof) -> int:
    """The newest live version of the better chain."""
    version = 0
    with contextlib.ExitStack() as stack:
        leftover = stack.enter_context(Leftover(asked.where)) if has_memory(asked.where) else None
        for event in best_events(asked.workspace, leftover, proof):
            if event.kind == "decision":
                version = max(version, json.loads(event.payload).get("live_version") or 0)
    return version


def _refuse_other(asked: _Asked, proof: Proof) -> None:
    """WorkspaceError where a PostgreSQL database does not hold a prefix of this chain: it is never replaced."""
    if isinstance(asked.where, Path) or not has_memory(asked.where):
        return
    if proof.shared < proof.memory.head.size and proof.best is proof.log:
        raise WorkspaceError(
            "a PostgreSQL database holds another memory, and is not replaced",
            got=f"{proof.memory.head.size} entries, of which {proof.shared} are this workspace's",
            wanted="store.url (AUTOSURGEON_STORE__URL) of an empty database, or none: the workspace's own file",
            where=place_name(asked.where),
        )


def _make_again(asked: _Asked, why: str, proof: Proof, leftover: Leftover | None) -> Report:
    workspace = asked.workspace
    stamp = utc_now()[:19].replace("-", "").replace(":", "")
    built = workspace.database.with_name(f"{workspace.database.name}.restoring")
    for left in workspace.database.parent.glob(f"{built.name}*"):
        left.unlink()
    restored = _build(asked, built, proof, leftover)
    aside = [move_aside(path, stamp) for path in proof.beyond]
    with contextlib.closing(SqlStore(built)) as store:
        _raise_live(asked, store)
        found = verify(workspace, store)
        aside += [move_aside(path, stamp) for path in _odd_logs(workspace, proof, found)]
        live = store.live()
    aside += put_in_place(built, asked.where, stamp, asked.progress)
    with contextlib.closing(SqlStore(asked.where)) as store:
        write_logs(workspace, store)
    damage = _damage_of(workspace, live)
    if live is not None and not damage:
        folder = workspace.packs.relative_to(workspace.live_file.parent) / live.pack
        write_live(workspace.live_file, version=live.version, pack=live.pack, folder=folder, anew=True)
    notes = [f"{proof.log.source} ends at entry {proof.log.head.size}: {proof.log.ends}"] if proof.log.ends else []
    notes += _signatures(found, proof)
    return Report(restored, proof.best.head.size, proof.best.source, why, live, damage, tuple(aside), tuple(notes))


def _signatures(found: Verification, proof: Proof) -> list[str]:
    """What the signed checkpoints prove of the entries that the memory was made of."""
    faults = [fault for fault in found.findings if fault.source in ("checkpoint", "keys")]
    if faults:
        return [f"signatures do not prove it: {fault.what}; got {fault.got}" for fault in faults]
    unsigned = proof.best.head.size - proof.best.borne
    if not found.checkpoints:
        return ["no signed checkpoint is there that would prove it"]
    rest = f"; the {unsigned} entries after it are not signed" if unsigned else ""
    return [f"{found.checkpoints} signed checkpoints verify, the last at entry {proof.best.borne}{rest}"]


def _odd_logs(workspace: Workspace, proof: Proof, found: Verification) -> list[Path]:
    """The logs that are no prefixes of the memory's; StoreError where the memory does not verify."""
    if wrong := _first_fault(found):
        raise StoreError(f"the restored memory does not verify: {wrong}")
    odd = [] if proof.log_is_prefix else [workspace.events]
    lines = [fault for fault in found.findings if fault.source == workspace.decisions.name]
    odd += [workspace.decisions for fault in lines if fault.what != CUT_SHORT]
    return [path for path in odd if path.exists()]


def _build(asked: _Asked, built: Path, proof: Proof, leftover: Leftover | None) -> Restored:
    with new_memory(built) as connection:
        rebuild, total = Rebuild(connection, leftover, _decision_lines(asked.workspace.decisions)), proof.best.head.size
        for event in best_events(asked.workspace, leftover, proof):
            rebuild.take(event)
            asked.progress(event.seq, total)
        restored = rebuild.finish(_manifests(asked.workspace.packs))
        source = {"source": proof.best.source, "entries": total, "head": proof.best.head.hash}
        append_restored(connection, utc_now(), asked.act, restored, source)
    return restored


def _raise_live(asked: _Asked, store: SqlStore) -> None:
    """If live.json names a higher version than the logs prove, make the proven pack live above it."""
    live, claim = store.live(), read_live(asked.workspace.live_file)
    if live is None or claim is None or claim.version <= live.version:
        return
    decision = Decision(
        decision_id=f"revert-v{claim.version + 1}",
        pass_number=None,
        judgement=None,
        action="revert",
        reason=f"restored: the logs end at version {live.version}, and live.json is of version {claim.version}",
        at=utc_now(),
    )
    store.decide(decision, live_pack=live.pack, above=claim.version)


def _damage_of(workspace: Workspace, live: Live | None) -> str:
    if live is None:
        return ""
    try:
        PackStore(workspace.packs).verify(live.pack)
    except PackError as error:
        return str(error)
    return ""


def _decision_lines(path: Path) -> Iterator[str]:
    """The records of the decision log, for decisions that are older than the chain."""
    if path.is_file():
        with path.open(encoding="utf-8", errors="surrogateescape") as lines:
            yield from lines


def _manifests(packs: Path) -> dict[str, str]:
    """The manifests of the packs in the workspace, by digest, as the memory holds them."""
    found: dict[str, str] = {}
    if not packs.is_dir():
        return found
    store = PackStore(packs)
    for digest in store.digests():
        with contextlib.suppress(PackError):
            found[digest] = store.manifest(digest).model_dump_json()
    return found
