"""Retention: which packs' weights stay on the disk, and the removal of all others."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from autosurgeon.core.pack import ADAPTER_FILE
from autosurgeon.core.pass_states import number_of, pass_scope
from autosurgeon.core.stage_results import MergeStageResult
from autosurgeon.packs.packstore import PackStore
from autosurgeon.packs.pins import read_pins
from autosurgeon.store.sqlstore import SqlStore


class Freed(NamedTuple):
    """Weights that were removed, or would be."""

    pack: str
    """Whose they were; of an adapter, the pass's scope."""
    bytes: int


def reasons_to_keep(store: SqlStore, pinned: Collection[str], keep_live: int) -> dict[str, str]:
    """The packs whose weights stay, each with the first reason why.

    Args:
        store: the memory.
        pinned: the packs that a person wants kept.
        keep_live: how many that were live before stay; what live was reverted from is none of them.

    """
    history, reverted = store.live_history(), store.reverted_versions()
    reasons: dict[str, str] = {}
    if history:
        reasons[history[-1].pack] = "live"
        reasons.setdefault(history[0].pack, "base")
    for manifest, _, _ in store.packs():
        if manifest.lineage.parent is None:
            reasons.setdefault(manifest.digest, "base")
    for pack in pinned:
        reasons.setdefault(pack, "pinned")
    good = [live.pack for live in reversed(history[:-1]) if live.version not in reverted]
    for pack in list(dict.fromkeys(pack for pack in good if pack != history[-1].pack))[:keep_live]:
        reasons.setdefault(pack, "was live")
    for pack, number in _of_open_passes(store).items():
        reasons.setdefault(pack, f"open pass {number}")
    return reasons


def collect(
    store: SqlStore, packs: PackStore, pins: Path, keep_live: int, *, removed: Callable[[Freed], None], dry_run: bool
) -> int:
    """Remove the weights that nothing keeps, one pack after another; the bytes that are free now, or would be.

    Manifests and the memory's rows stay. Packs that the memory does not know go too: a crash came before their commit.

    Args:
        store: the memory.
        packs: the packs; the caller holds the workspace's lock.
        pins: the file of pins.
        keep_live: see reasons_to_keep.
        removed: called with each pack.
        dry_run: remove nothing.

    """
    if not dry_run:
        packs.sweep()
    freed, kept = 0, reasons_to_keep(store, read_pins(pins), keep_live)
    for pack in packs.digests():
        # Pins are read anew each time: one may be set while weights are removed.
        if not packs.has_weights(pack) or pack in kept or pack in read_pins(pins):
            continue
        size = packs.weights_bytes(pack)
        if not dry_run:
            packs.remove_weights(pack)
        removed(Freed(pack, size))
        freed += size
    return freed


def collect_adapters(store: SqlStore, passes: Path, pins: Path, keep_live: int, *, dry_run: bool) -> list[Freed]:
    """Remove the adapters of passes that are over, unless what they were merged into is kept; what each pass gave back.

    A pass reads its adapter again only while it is open; its losses, rows and results stay.

    Args:
        store: the memory.
        passes: the folder of the passes' stages; the caller holds the workspace's lock.
        pins: the file of pins.
        keep_live: see reasons_to_keep.
        dry_run: remove nothing.

    """
    kept = reasons_to_keep(store, read_pins(pins), keep_live)
    needed = {number for manifest, number, _ in store.packs() if manifest.digest in kept}
    needed |= {record.number for record in store.open_passes()}
    freed = []
    for folder in sorted(passes.glob("pass-*")):
        if number_of(folder.name) in needed:
            continue
        # No link is followed: what a capsule left behind must not lead to files of others.
        files = [file for file in folder.rglob(ADAPTER_FILE) if not file.is_symlink()]
        size = sum(file.stat().st_size for file in files)
        for file in files if not dry_run else ():
            file.unlink()
        if files:
            freed.append(Freed(folder.name, size))
    return freed


def _of_open_passes(store: SqlStore) -> dict[str, int]:
    """Every pack that an open pass names, the one among them that it has merged and not yet had judged."""
    named: dict[str, int] = {}
    for record in store.open_passes():
        merged = store.stage_result(pass_scope(record.number), MergeStageResult)
        for pack in (record.parent, record.live_before, record.pack, merged.pack if merged else None):
            if pack is not None:
                named[pack] = record.number
    return named
