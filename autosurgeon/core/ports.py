"""The ports of the loop: protocols that have more than one implementation."""

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
"""The heartbeat: called repeatedly in the loop's own thread while the current work or wait is within its limits."""


def no_beat() -> None:
    """Do nothing: no watchdog is active."""


Report = Callable[[str], None]
"""Receives a line that a user should see."""


def no_report(line: str) -> None:
    """Do nothing: the user sees what happens in another way."""


class CapsuleRunner(Protocol):
    """Runs the jobs of capsules."""

    def warm_up(self) -> None:
        """Start the capsule server in the background."""

    def run(self, job: Value, workdir: Path, on_progress: OnProgress | None = None) -> Result:
        """Run the job in a fresh `workdir` and return its typed result; UserError or CapsuleError if it fails."""


class Reporter(Protocol):
    """Receives the progress of a run as it happens."""

    def say(self, text: str) -> None:
        """Report a line about the run."""

    def pass_started(self, number: int, recipe: Recipe) -> None:
        """Report that a pass starts, or resumes after a stop."""

    def stage_started(self, scope: str, name: str) -> None:
        """Report that a stage starts."""

    def progress(self, done: int, total: int, note: str) -> None:
        """Report the progress of the running stage."""

    def stage_ended(self, seconds: float) -> None:
        """Report that the stage ended."""

    def decided(self, decision: Decision) -> None:
        """Report a decision."""

    def pass_ended(self, record: PassRecord) -> None:
        """Report that a pass ended."""
