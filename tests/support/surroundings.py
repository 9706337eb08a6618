"""What surrounds a loop in a test: the power, the disk and a person, which act where the test wants it."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path


class PowerCut(BaseException):
    """Ends the process where it stands, as far as the loop can see."""


class World:
    """What surrounds the loop: the power, the disk, and a person who acts when a certain job begins."""

    def __init__(self) -> None:
        self.calm()

    def calm(self) -> None:
        """Nothing happens."""
        self.passages = self.jobs = self.cut_at = self.full_at = self.full_for = self.no_space_for = self.act_at = 0
        self.act: Callable[[], None] = lambda: None
        self.wait: Callable[[], None] = lambda: None

    def reach(self, _: str) -> None:
        """Stands for the failpoints; a process without power does nothing more, not even in its `finally`."""
        self.passages += 1
        if self.cut_at and self.passages >= self.cut_at:
            raise PowerCut
        if self.full_at and self.full_at <= self.passages < self.full_at + self.full_for:
            raise OSError(errno.ENOSPC, "No space left on device")

    def before(self) -> None:
        """Stands for an observer of the jobs."""
        self.jobs += 1
        if self.jobs == self.act_at:
            self.act()

    def free_bytes(self, _: Path) -> int:
        """Stands for the disk."""
        self.no_space_for -= self.no_space_for > 0
        return 0 if self.no_space_for else 1 << 40

    def sleep(self, _: float) -> None:
        """Stands for waiting."""
        self.wait()

    monotonic = staticmethod(time.monotonic)
