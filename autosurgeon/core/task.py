"""A task: a prompt, what its answer is run on, and where it belongs."""

from __future__ import annotations

import re
from collections.abc import Container
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
    input and the text on standard output. `wanted` is None where the reference's own answer is the wanted one.
    """

    given: str
    wanted: str | None = None


class Task(Value):
    """One problem of a bench.

    Checked by `cases`, or, for a function, by `tests`, or by both. No field but `prelude` and the completion ever
    reaches the candidate's process.
    """

    task_id: str
    bench: str
    kind: Literal["function", "stdin"]
    prompt: str
    prelude: str = ""
    """Stands before the completion when it is run: the prompt, for prompts that are the head of the function."""
    entry_point: str | None = None
    """The function's name, or `Class.method` for a method of a class without arguments."""
    cases: tuple[Case, ...] = ()
    base_cases: int = 0
    """How many of the cases, from the first on, make up the base test of a bench that has extra ones."""
    tests: str = ""
    """Python code that calls `candidate` or the entry point and raises when it is not satisfied."""
    support: str = ""
    """Code that is run before the tests, on the test side: helpers of the prompt, imports."""
    atol: float | None = None
    """None: answers are equal in value and type, all the way down. A number: `==`, or floats within so much."""
    accept: str = ""
    """A Python expression of given, wanted, got and atol that takes the place of comparing; for special oracles."""
    contract: str = ""
    """Assertions on the arguments, which every input of the bench has to satisfy."""
    reference: str | None = None
    """A completion that passes."""
    cluster: str
    split: Split


def groups_of(task: Task, tasks: Container[str]) -> tuple[str, ...]:
    """The groups that a task's cluster names, from its family down: `dicts/first letter/reversed` has three.

    The bench alone where the cluster is named after one of the tasks: published benches have no families, and a task's
    cluster is its own id there, or that of a near relative.
    """
    return (task.bench,) if task.cluster in tasks else tuple(re.split("[/:]", task.cluster))
