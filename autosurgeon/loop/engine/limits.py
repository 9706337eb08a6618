"""What ends a run: a person, a budget, too many failures in a row, passes that gained nothing, or a plateau."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from autosurgeon.core.pass_states import CAPSULE_STAGES, PassState
from autosurgeon.core.person import Person, PersonAct
from autosurgeon.loop.search.plateau import moved
from autosurgeon.sections import LoopSettings
from autosurgeon.store.database import utc_now


class StoppedError(Exception):
    """The run ends here, between two stages; the pass stays open and the next run continues it."""


@dataclass
class Limits:
    """Asked between stages and between passes; a limit here counts before the one of the same name in the settings."""

    passes: int | None = None
    hours: float | None = None
    """Wall clock since the start of the run, pauses among it."""
    gpu_hours: float | None = None
    without_gain: int | None = None
    stop_requested: bool = False
    stop_cause: str | None = None
    """What asked for the stop, first: a signal, a closed terminal or pipe, a word from another terminal."""
    stop_act: PersonAct | None = None
    """The stop as a person's act that the run is to record; None where the command that stopped it does, or no one."""
    poll_s: float = 1.0
    """Seconds between two looks while the loop waits."""
    _started: float = field(default_factory=time.monotonic)
    capsule_s: float = 0.0
    _failures: int = 0
    _gainless: int = 0
    _flat: int = 0

    def request_stop(self, cause: str, by: Person | None = None) -> None:
        """Ask for an end after the running stage; the first cause is kept.

        Args:
            cause: what asked.
            by: the person whose act the run is to record, as far as the person is known.

        """
        if self.stop_cause is None and by is not None:
            self.stop_act = PersonAct(act="stop", who=by, at=utc_now(), detail={"cause": cause})
        self.stop_requested = True
        self.stop_cause = self.stop_cause or cause

    def check(self) -> None:
        """Raise StoppedError once a stop was requested."""
        if self.stop_requested:
            raise StoppedError

    def count_stage(self, name: str, seconds: float) -> None:
        """Note what a stage took, whether it came to something or not."""
        if name.partition("-")[0] in (*CAPSULE_STAGES, "variant"):  # a variant is of the incident's ablation
            self.capsule_s += seconds

    def count_pass(self, state: PassState, climb: float | None = None, *, unjudged: bool = False) -> None:
        """Count a pass that ended.

        Args:
            state: how it ended.
            climb: how far it climbed on dev.
            unjudged: whether it failed, or its evidence was missing, in error or invalid, so that it was not weighed.

        """
        self._failures = self._failures + 1 if unjudged or state == PassState.FAILED else 0
        self._gainless = 0 if state == PassState.CONFIRMED else self._gainless + 1
        ahead = moved(state, climb)
        self._flat = 0 if ahead else self._flat + (ahead is False)

    def end_reason(self, passes_done: int, loop: LoopSettings) -> str | None:
        """Why no further pass begins, or None while one may; what went wrong counts before what was used up."""
        if self.stop_requested:
            return "stopped"
        spent_h = (time.monotonic() - self._started) / 3600
        used: tuple[tuple[str, float, float | None], ...] = (
            ("failures", self._failures, loop.failures_in_a_row),
            ("without_gain", self._gainless, self.without_gain or loop.passes_without_gain),
            ("plateau", self._flat, loop.plateau_passes if loop.on_plateau == "end" else None),
            ("passes", passes_done, self.passes),
            ("hours", spent_h, self.hours),
            ("gpu_hours", self.capsule_s / 3600, loop.gpu_hours if self.gpu_hours is None else self.gpu_hours),
        )
        return next((reason for reason, spent, limit in used if limit is not None and spent >= limit), None)
