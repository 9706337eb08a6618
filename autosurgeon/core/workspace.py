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
    def pins(self) -> Path:
        """The packs that a person wants kept."""
        return self.root / "data" / "pins.json"

    @property
    def relatives(self) -> Path:
        """What was found of tasks that are told again; it is found anew where it is gone."""
        return self.root / "data" / "relatives"

    @property
    def lock(self) -> Path:
        """Held by the one loop."""
        return self.root / "data" / "lock"

    @property
    def control(self) -> Path:
        """What a person last asked of the loop."""
        return self.root / "data" / "control.json"

    @property
    def stop_file(self) -> Path:
        """Asks the loop to stop by being there."""
        return self.root / "data" / "STOP"

    @property
    def pause(self) -> Path:
        """Why the loop waits, while it does."""
        return self.root / "data" / "pause.json"

    @property
    def ballast(self) -> Path:
        """Space that is given up when the disk is full."""
        return self.root / "data" / "ballast"

    @property
    def capsule_home(self) -> Path:
        """The warm capsule server's folder."""
        return self.root / "data" / "capsule"

    @property
    def training(self) -> Path:
        """The state of the training that is under way, in a folder by its effect."""
        return self.root / "data" / "training"

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

    @property
    def passes(self) -> Path:
        """The stages' folders, by scope."""
        return self.root / "data" / "passes"

    def stage(self, scope: str, name: str) -> Path:
        """A stage's own folder; scope is `pass-0007` or a pack's name."""
        return self.passes / scope / name
