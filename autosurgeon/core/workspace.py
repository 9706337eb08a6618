"""The paths of a workspace: `data/`, `logs/` and `reports/`."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Workspace(NamedTuple):
    """The paths of one workspace."""

    root: Path

    @property
    def database(self) -> Path:
        """The database, the only source of truth: everything else is rebuilt from it or checked against it."""
        return self.root / "data" / "autosurgeon.db"

    @property
    def packs(self) -> Path:
        """Packs by digest."""
        return self.root / "data" / "packs"

    @property
    def live_file(self) -> Path:
        """The file that a runtime reads to find the live pack; a projection of the database."""
        return self.root / "data" / "live.json"

    @property
    def pins(self) -> Path:
        """The packs that a person pinned."""
        return self.root / "data" / "pins.json"

    @property
    def relatives(self) -> Path:
        """The cache of clusters of similar tasks; rebuilt if it is gone."""
        return self.root / "data" / "relatives"

    @property
    def lock(self) -> Path:
        """The lock file of the running loop."""
        return self.root / "data" / "lock"

    @property
    def control(self) -> Path:
        """A person's last request to the loop."""
        return self.root / "data" / "control.json"

    @property
    def stop_file(self) -> Path:
        """The file whose existence asks the loop to stop."""
        return self.root / "data" / "STOP"

    @property
    def pause(self) -> Path:
        """The reason why the loop waits, while it waits."""
        return self.root / "data" / "pause.json"

    @property
    def ballast(self) -> Path:
        """A file that reserves space, deleted when the disk is full."""
        return self.root / "data" / "ballast"

    @property
    def capsule_home(self) -> Path:
        """The warm capsule server's folder."""
        return self.root / "data" / "capsule"

    @property
    def training(self) -> Path:
        """The checkpoints of the running training, in a folder named by its effect."""
        return self.root / "data" / "training"

    @property
    def decisions(self) -> Path:
        """The decision log; a projection of the database."""
        return self.root / "logs" / "decisions.jsonl"

    @property
    def events(self) -> Path:
        """The chain of events; a projection of the database."""
        return self.root / "logs" / "events.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Signed statements of the chain's length."""
        return self.root / "logs" / "checkpoints"

    @property
    def keys(self) -> Path:
        """The keys that sign checkpoints."""
        return self.root / "data" / "keys"

    @property
    def operations(self) -> Path:
        """The operation log, for debugging."""
        return self.root / "logs" / "operations.jsonl"

    @property
    def reports(self) -> Path:
        """Reports for people."""
        return self.root / "reports"

    @property
    def passes(self) -> Path:
        """The folders of stages, by scope."""
        return self.root / "data" / "passes"

    def stage(self, scope: str, name: str) -> Path:
        """Return a stage's folder; the scope is `pass-0007` or a pack's name."""
        return self.passes / scope / name
