"""An envelope: one task's result under one condition."""

from __future__ import annotations

from enum import StrEnum

from autosurgeon.core.value import Value

ORGAN = "organ"
"""The handler that is under surgery; any other that answers is foreign."""
FALLBACK = "fallback"
"""The handler of a model that stands in for the organ."""


class Mode(StrEnum):
    """Who may answer."""

    FALLBACK_ALONE = "A"
    ORGAN_ALONE = "B"
    """What counts."""
    ORGAN_WITH_FALLBACK = "C"


class Poison(StrEnum):
    """Why a task failed."""

    WRONG = "wrong"
    """An answer is not the wanted one."""
    TYPE = "type"
    """An answer is no plain data: an object of the candidate's own, too deep, cyclic."""
    ERROR = "error"
    """It raised an exception."""
    SYNTAX = "syntax"
    """It does not compile."""
    MISSING = "missing"
    """It does not define the entry point."""
    TIMEOUT = "timeout"
    """It used more CPU time, or slept longer, than it may."""
    MEMORY = "memory"
    """It wanted more memory than it may have."""
    OUTPUT = "output"
    """It said more than it may."""
    DIED = "died"
    """Its process ended before it had answered."""


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
    tier: str = "split"
    """`split`: tests and candidate in two processes; `shared`: in one, which a hostile candidate might fool."""
    jail: str = ""
    """How the program was kept in: bwrap, landlock or plain."""
    completion: str = ""
    cond: Condition

    @property
    def passed(self) -> bool:
        """Whether every case passed."""
        return self.poison is None
