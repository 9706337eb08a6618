"""Where things are in a workspace: the same shape as the project's own top level, `data/` and `logs/`."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Workspace(NamedTuple):
    """The paths of one workspace."""

    root: Path

    @property
    def database(self) -> Path:
        """The memory; the only truth, everything else can be rebuilt or checked against it."""
        return self.root / "data" / "autosurgeon.db"

    @property
    def packs(self) -> Path:
        """Packs by digest."""
        return self.root / "data" / "packs"

    @property
    def live_file(self) -> Path:
        """What a runtime reads to find the live pack; a projection of the memory."""
        return self.root / "data" / "live.json"

    @property
    def lock(self) -> Path:
        """Held by the one loop."""
        return self.root / "data" / "lock"

    @property
    def capsule_home(self) -> Path:
        """The warm capsule server's folder."""
        return self.root / "data" / "capsule"

    @property
    def decisions(self) -> Path:
        """The decision log; a projection of the memory."""
        return self.root / "logs" / "decisions.jsonl"

    @property
    def events(self) -> Path:
        """The chain of events; a projection of the memory."""
        return self.root / "logs" / "events.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Signed words on how long the chain was."""
        return self.root / "logs" / "checkpoints"

    @property
    def keys(self) -> Path:
        """What checkpoints are signed with."""
        return self.root / "data" / "keys"

    @property
    def operations(self) -> Path:
        """What the loop did, for debugging."""
        return self.root / "logs" / "operations.jsonl"

    @property
    def reports(self) -> Path:
        """Reports for people."""
        return self.root / "reports"

    def stage(self, scope: str, name: str) -> Path:
        """A stage's own folder; scope is `pass-0007` or a pack's name."""
        return self.root / "data" / "passes" / scope / name
