"""A task: a prompt, what its answer is run on, and where it belongs."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from autosurgeon.core.value import Value


class Split(StrEnum):
    """What a task may be used for; fixed by the digest of its cluster, so that near relatives never part."""

    SURGERY = "surgery"
    """Failures may become training rows."""
    DEV = "dev"
    """What the proposer is told."""
    GATE = "gate"
    """What acceptance is judged on."""
    CANARY = "canary"
    """Read only after promotion."""


class Case(Value):
    """One check: what goes in and what must come out.

    For a function: Python literals, the tuple of arguments and the returned value. For a program: the text on standard
    input and the text on standard output.
    """

    given: str
    wanted: str


class Task(Value):
    """One problem of a bench.

    `prelude` stands before the completion when it is run: the prompt, for prompts that are the head of the function;
    empty, for prompts that only describe it.
    """

    task_id: str
    bench: str
    kind: Literal["function", "stdin"]
    prompt: str
    prelude: str = ""
    entry_point: str | None = None
    cases: tuple[Case, ...]
    reference: str | None = None
    cluster: str
    split: Split
