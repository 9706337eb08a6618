"""The limits of a run: a stop request, a budget, failures in a row, passes without gain, or a plateau."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from autosurgeon.core.pass_states import CAPSULE_STAGES, PassState
from autosurgeon.core.person import Person, PersonAct
from autosurgeon.loop.search.plateau import moved
from autosurgeon.sections import LoopSettings
from autosurgeon.store.database import utc_now


class StoppedError(Exception):
    """The run ends between two stages; the pass stays open and the next run continues it."""


@dataclass
class Limits:
    """The limits, checked between stages and passes; a limit here overrides the setting of the same name."""

    passes: int | None = None
    hours: float | None = None
    """The wall clock since the start of the run, including pauses."""
    gpu_hours: float | None = None
    without_gain: int | None = None
    stop_requested: bool = False
    stop_cause: str | None = None
    """The first cause of the stop: a signal, a closed terminal or pipe, a request from another terminal."""
    stop_act: PersonAct | None = None
    """The stop as a person's act to record; None where a command recorded it or no person is known."""
    poll_s: float = 1.0
    """Seconds between two checks while the loop waits."""
    _started: float = field(default_factory=time.monotonic)
    capsule_s: float = 0.0
    _failures: int = 0
    _gainless: int = 0
    _flat: int = 0

    def request_stop(self, cause: str, by: Person | None = None) -> None:
        """Request an end after the running stage; the first cause counts.

        Args:
            cause: the cause.
            by: the person whose act the run records, if known.

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
        """Count the seconds of a stage, committed or failed."""
        if name.partition("-")[0] in (*CAPSULE_STAGES, "variant"):  # a variant is of the incident's ablation
            self.capsule_s += seconds

    def count_pass(self, state: PassState, climb: float | None = None, *, unjudged: bool = False) -> None:
        """Count a finished pass.

        Args:
            state: its final state.
            climb: its climb on dev.
            unjudged: whether it failed, or its evidence was missing, in error or invalid.

        """
        self._failures = self._failures + 1 if unjudged or state == PassState.FAILED else 0
        self._gainless = 0 if state == PassState.CONFIRMED else self._gainless + 1
        ahead = moved(state, climb)
        self._flat = 0 if ahead else self._flat + (ahead is False)

    def end_reason(self, passes_done: int, loop: LoopSettings) -> str | None:
        """Why no further pass begins, or None while one may; failures count before budgets."""
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
