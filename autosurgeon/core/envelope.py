"""An envelope: one task's result under one condition."""

from __future__ import annotations

from enum import StrEnum

from autosurgeon.core.value import Value

ORGAN = "organ"
"""The handler that is under surgery; any other that answers is foreign."""


class Mode(StrEnum):
    """Who may answer."""

    FALLBACK_ALONE = "A"
    ORGAN_ALONE = "B"
    """What counts."""
    ORGAN_WITH_FALLBACK = "C"


class Poison(StrEnum):
    """Why a task failed."""

    WRONG = "wrong_answer"
    ERROR = "error"
    TIMEOUT = "timeout"
    KILLED = "killed"
    OVERFLOW = "too_much_output"


class Condition(Value):
    """Under what a task was run; results of different fingerprints are not comparable."""

    mode: Mode
    pack: str
    handler: str
    fallback: bool
    fingerprint: str


class Envelope(Value):
    """One task's result: `food` is how many cases passed, `poison` why it failed, None when it did not."""

    task_id: str
    bench: str
    split: str
    food: int
    poison: Poison | None
    detail: str = ""
    completion: str = ""
    cond: Condition

    @property
    def passed(self) -> bool:
        """Whether every case passed."""
        return self.poison is None
