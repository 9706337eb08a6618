"""The setup of a simulated run: settings without outside effects, and a quiet reporter."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from autosurgeon.config import Settings
from autosurgeon.core.decision import Decision
from autosurgeon.core.recipe import Recipe
from autosurgeon.core.records import PassRecord
from autosurgeon.endpoints import DeploySettings, NotifySettings
from autosurgeon.sections import AuditSettings, StoreSettings

NEVER = 1 << 30
MEMORY_DISK = Path("/dev/shm")


def simulated_settings(settings: Settings, organ: Path) -> Settings:
    """Settings with the same policy, search, statistics and anchors, without notifications and limits.

    Args:
        settings: the settings of the simulated run.
        organ: the folder of the checkpoint that replaces the organ's.

    """
    brakes = {"failures_in_a_row": NEVER, "passes_without_gain": None, "gpu_hours": None, "stuck_passes": 0}
    room = {"min_free_mib": 0, "ballast_mib": 0}
    return settings.model_copy(
        update={
            "organ": settings.organ.model_copy(update={"model": organ, "hub": None, "revision": None}),
            "loop": settings.loop.model_copy(update=brakes | room),
            "notify": NotifySettings(),
            "deploy": DeploySettings(),
            "store": StoreSettings(),
            "audit": AuditSettings(),
        }
    )


class QuietReporter:
    """A reporter that only reports the end of a pass."""

    def __init__(self, on_pass: Callable[[], None] = lambda: None) -> None:
        """Call `on_pass` after each pass."""
        self._on_pass = on_pass

    def say(self, text: str) -> None:
        """Nothing."""

    def pass_started(self, number: int, recipe: Recipe) -> None:
        """Nothing."""

    def stage_started(self, scope: str, name: str) -> None:
        """Nothing."""

    def progress(self, done: int, total: int, note: str) -> None:
        """Nothing."""

    def stage_ended(self, seconds: float) -> None:
        """Nothing."""

    def decided(self, decision: Decision) -> None:
        """Nothing."""

    def pass_ended(self, record: PassRecord) -> None:
        """A pass is over."""
        self._on_pass()


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder for as long as a run lasts, in memory where the system has such a place."""
    home = MEMORY_DISK if os.access(MEMORY_DISK, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="autosurgeon-", dir=home) as folder:
        yield Path(folder)


@contextlib.contextmanager
def quiet_log() -> Iterator[None]:
    """A block in which the loop logs nothing."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.reset_defaults()
