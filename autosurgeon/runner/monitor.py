"""Monitor a running capsule: its progress, its heartbeat, its memory and its time."""

from __future__ import annotations

import json
import time
from pathlib import Path

from autosurgeon.core.jobs import PROGRESS_FILE
from autosurgeon.core.ports import Beat, OnProgress, no_beat
from autosurgeon.errors import CapsuleError
from autosurgeon.runner.fork_client import Capsule, End
from autosurgeon.runner.memory import held_bytes
from autosurgeon.runner.usage_meter import Meter
from autosurgeon.sections import CapsuleSettings

POLL_S = 0.05
FAMILY_S = 1.0
"""The interval at which the capsule's processes are listed."""


def watch(
    capsule: Capsule,
    workdir: Path,
    settings: CapsuleSettings,
    on_progress: OnProgress | None,
    meter: Meter,
    beat: Beat = no_beat,
) -> End:
    """Wait for the capsule's end, call `beat` while it is within its limits, and report its memory to the meter.

    Raises:
        CapsuleError: timeout, hung, memory, or bad_outcome for a report that does not parse; the capsule still runs.

    """
    started = beaten = time.monotonic()
    looked, family = 0.0, [capsule.pid]
    limit_bytes = settings.memory_gib * 2**30
    reader = _ProgressReader(workdir / PROGRESS_FILE)
    while (end := capsule.wait(POLL_S)) is None:
        # The heartbeat is read first: if this process itself was stopped for a while, the capsule has gone on.
        beaten = time.monotonic() if reader.has_beaten() else beaten
        if (latest := reader.latest()) is not None and on_progress is not None:
            on_progress(*latest)
        now = time.monotonic()
        if now - looked > FAMILY_S:
            looked, family = now, capsule.family()
        held = held_bytes(family, limit_bytes)
        meter.see(held)
        if held > limit_bytes:
            raise CapsuleError("memory", f"{held / 2**30:.2f} GiB resident, the limit is {settings.memory_gib}")
        if now - started > settings.wall_s:
            raise CapsuleError("timeout", f"no end after {settings.wall_s:.0f} s")
        if now - beaten > settings.heartbeat_s:
            raise CapsuleError("hung", f"no progress for {settings.heartbeat_s:.0f} s")
        beat()
    return end


class _ProgressReader:
    """Reads a growing JSONL file; an incomplete line is read when it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._touched_ns = 0

    def has_beaten(self) -> bool:
        """Whether the file was written or touched since the last call."""
        try:
            touched_ns = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return False
        before, self._touched_ns = self._touched_ns, touched_ns
        return touched_ns != before

    def latest(self) -> tuple[int, int, dict[str, float]] | None:
        """Return the last complete line since the last call; CapsuleError if it is not a report."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                text = file.read()
        except FileNotFoundError:
            return None
        end = text.rfind(b"\n")
        if end < 0:
            return None
        self._offset += end + 1
        try:
            line = json.loads(text[:end].rsplit(b"\n", 1)[-1])
            return line.pop("done"), line.pop("total"), line
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            raise CapsuleError("bad_outcome", f"{self._path} does not parse: {error}") from error
