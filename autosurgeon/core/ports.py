"""What the loop needs of others, and has more than one of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from autosurgeon.core.decision import Decision
from autosurgeon.core.jobs import Result
from autosurgeon.core.recipe import Recipe
from autosurgeon.core.records import PassRecord
from autosurgeon.core.value import Value

OnProgress = Callable[[int, int, dict[str, float]], None]
"""(done, total, metrics) of a capsule's last report."""
Beat = Callable[[], None]
"""Called again and again, in the loop's own thread, for as long as what is done or waited for is within its limits."""


def no_beat() -> None:
    """Nobody watches."""


class CapsuleRunner(Protocol):
    """Someone who runs a capsule's job."""

    def warm_up(self) -> None:
        """Get ready in the background."""

    def run(self, job: Value, workdir: Path, on_progress: OnProgress | None = None) -> Result:
        """Run the job in a fresh `workdir`: its typed result, or UserError or CapsuleError."""


class Reporter(Protocol):
    """Someone who is told what happens while it happens."""

    def say(self, text: str) -> None:
        """A line about the run."""

    def pass_started(self, number: int, recipe: Recipe) -> None:
        """A pass begins, or goes on after a stop."""

    def stage_started(self, scope: str, name: str) -> None:
        """A stage begins."""

    def progress(self, done: int, total: int, note: str) -> None:
        """The running stage is so far."""

    def stage_ended(self, seconds: float) -> None:
        """The stage is over."""

    def decided(self, decision: Decision) -> None:
        """A decision was written."""

    def pass_ended(self, record: PassRecord) -> None:
        """A pass is over."""
