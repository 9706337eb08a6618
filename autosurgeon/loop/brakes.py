"""What ends a run: a person, a budget, or too many failures in a row."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


class StoppedError(Exception):
    """The run ends here, between two stages; the pass stays open and the next run continues it."""


@dataclass
class Brakes:
    """Asked between stages and between passes."""

    passes: int | None = None
    hours: float | None = None
    stop_requested: bool = False
    _started: float = field(default_factory=time.monotonic)

    def check(self) -> None:
        """Raise StoppedError once a person asked to stop."""
        if self.stop_requested:
            raise StoppedError

    def end_reason(self, passes_done: int) -> str | None:
        """Why no further pass begins, or None while one may."""
        if self.stop_requested:
            return "stopped"
        if self.passes is not None and passes_done >= self.passes:
            return "passes"
        if self.hours is not None and time.monotonic() - self._started >= self.hours * 3600:
            return "hours"
        return None
