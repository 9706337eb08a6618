"""A task: a prompt, the tests of its answer, and its split."""

from __future__ import annotations

import re
from collections.abc import Container
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from autosurgeon.core.value import Value


class Split(StrEnum):
    """What a task may be used for; the digest of its cluster determines it, so that near relatives share a split."""

    SURGERY = "surgery"
    """Failures may become training rows."""
    DEV = "dev"
    """The proposer's feedback comes from these tasks."""
    GATE = "gate"
    """Acceptance is judged on these tasks."""
    CANARY = "canary"
    """Read only after promotion."""


class Case(Value):
    """One check: the input and the wanted output.

    For a function, these are Python literals: the tuple of arguments and the returned value. For a program, they are
    the texts of standard input and standard output. If `wanted` is None, the output of the reference is the wanted one.
    """

    given: str
    wanted: str | None = None


class Task(Value):
    """One problem of a bench.

    `cases` check the answer, or, for a function, `tests`, or both. Only `prelude` and the completion reach the
    candidate's process.
    """

    task_id: str
    bench: str
    kind: Literal["function", "stdin"]
    prompt: str
    stops: tuple[Annotated[str, Field(min_length=1)], ...] = Field((), exclude_if=lambda stops: not stops)
    """Texts before which an answer ends; left out of digests where there are none, as before they existed."""
    prelude: str = ""
    """Precedes the completion when it is run: the prompt, for prompts that are the head of the function."""
    entry_point: str | None = None
    """The function's name, or `Class.method` for a method of a class without arguments."""
    cases: tuple[Case, ...] = ()
    base_cases: int = 0
    """The number of leading cases that form the base test of a bench with extra cases."""
    tests: str = ""
    """Python code that calls `candidate` or the entry point and raises if the answer is wrong."""
    support: str = ""
    """Code that runs before the tests, on the test side: helpers of the prompt, imports."""
    atol: float | None = None
    """None requires equal values and types at every depth. A number allows `==`, or floats within that tolerance."""
    accept: str = ""
    """A Python expression of given, wanted, got and atol that replaces the comparison, for special oracles."""
    contract: str = ""
    """Assertions on the arguments, which every input of the bench satisfies."""
    reference: str | None = None
    """A completion that passes."""
    cluster: str
    split: Split


def groups_of(task: Task, tasks: Container[str]) -> tuple[str, ...]:
    """Return the groups in the name of a task's cluster, from its family down: `dicts/first letter/reversed` has three.

    If the cluster is named after one of the tasks, the bench is the only group: tasks of published benches have no
    families, and their cluster is their own id or that of a near relative.
    """
    return (task.bench,) if task.cluster in tasks else tuple(re.split("[/:]", task.cluster))
