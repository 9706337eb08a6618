"""Disk space: weights that retention does not keep are removed before a run pauses or ends for lack of space."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import structlog

from autosurgeon.loop.deploy.retention import Freed, collect, collect_adapters
from autosurgeon.loop.engine.instruments import Instruments

GIB = 1 << 30


def make_room(ins: Instruments) -> int:
    """Remove what `pack gc` removes, unless the settings forbid it; return the freed bytes."""
    retention = ins.settings.retention
    if not retention.when_full:
        return 0
    place, gone = ins.workspace, list[Freed]()
    collect(ins.store, ins.packs, place.pins, retention.keep_live, removed=gone.append, dry_run=False)
    packs = len(gone)
    gone += collect_adapters(ins.store, place.passes, place.pins, retention.keep_live, dry_run=False)
    freed = sum(one.bytes for one in gone)
    if gone:
        structlog.get_logger().warning("made_room", of=[one.pack for one in gone], bytes=freed)
        # Standard output may be a file on the full disk.
        with contextlib.suppress(OSError):
            ins.reporter.say(
                f"the disk ran short: weights that nothing keeps are gone, {freed >> 20} MiB of {packs} packs and the "
                f"adapters of {len(gone) - packs} passes; "
                "`autosurgeon pack list` shows which"
            )
    return freed


def disk_is_used_up(ins: Instruments) -> bool:
    """Whether the workspace takes more than its budget (loop.disk_gib) after the removal of unused weights."""
    limit = ins.settings.loop.disk_gib
    if limit is None or taken_bytes(ins.workspace.root) <= limit * GIB:
        return False
    return make_room(ins) == 0 or taken_bytes(ins.workspace.root) > limit * GIB


def taken_bytes(folder: Path) -> int:
    """The disk space of the files below a folder; hard links count once, symbolic links are not followed."""
    total, seen = 0, set[tuple[int, int]]()
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                found = os.lstat(os.path.join(place, name))
            except FileNotFoundError:
                continue  # removed meanwhile
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                total += found.st_blocks * 512
    return total
