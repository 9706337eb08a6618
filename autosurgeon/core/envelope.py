"""An envelope: one task's result under one condition."""

from __future__ import annotations

from enum import StrEnum

from autosurgeon.core.value import Value

ORGAN = "organ"
"""The handler that is under surgery; any other handler is foreign."""
FALLBACK = "fallback"
"""The handler of the fallback model."""


class Mode(StrEnum):
    """The models that may answer."""

    FALLBACK_ALONE = "A"
    ORGAN_ALONE = "B"
    """The mode that counts."""
    ORGAN_WITH_FALLBACK = "C"


class Poison(StrEnum):
    """The cause of a task's failure."""

    WRONG = "wrong"
    """A result differs from the wanted one."""
    TYPE = "type"
    """A result is not plain data: an object of the candidate's own class, too deep, or cyclic."""
    ERROR = "error"
    """The program raises an exception."""
    SYNTAX = "syntax"
    """The program does not compile."""
    MISSING = "missing"
    """The program does not define the entry point."""
    TIMEOUT = "timeout"
    """The program exceeds its CPU time or its wall time."""
    MEMORY = "memory"
    """The program exceeds its memory limit."""
    OUTPUT = "output"
    """The program exceeds its output limit."""
    DIED = "died"
    """The process ends before it returns a result."""


class Condition(Value):
    """The conditions under which a task was run; results of different fingerprints are not comparable."""

    mode: Mode
    pack: str
    handler: str
    fallback: bool
    fingerprint: str


class Envelope(Value):
    """One task's result: `food` counts the passed cases, `poison` is the cause of failure, None if it passed."""

    task_id: str
    bench: str
    split: str
    food: int
    poison: Poison | None
    detail: str = ""
    tier: str = "split"
    """`split`: tests and candidate in two processes; `shared`: in one, which a hostile candidate might deceive."""
    jail: str = ""
    """The isolation of the program: bwrap, landlock or plain."""
    completion: str = ""
    cond: Condition

    @property
    def passed(self) -> bool:
        """Whether every case passed."""
        return self.poison is None
