"""A model's answers to tasks, and where an answer ends; the capsule and clients of servers share the rule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from pydantic import Field

from autosurgeon.core.envelope import ORGAN
from autosurgeon.core.task import Task
from autosurgeon.core.value import Value

# After a line break, any character except blanks, comments and closing brackets is outside of the function.
DEDENT = re.compile(r"\n(?=[^\s#)\]}])")
BODY = re.compile(r"(?:^|\n)[ \t]")


class Reply(Value):
    """One answer to one task."""

    text: str
    tokens: int | None = Field(None, ge=0)
    """The number of generated tokens; None if unknown."""
    handler: str = Field(ORGAN, min_length=1)
    """The part of the runtime that answered."""
    fallback: bool = False
    """Whether a fallback model answered."""
    model: str | None = None
    """The answering model's name: a pack's digest, a folder's name, or what the server reports; None if unknown."""


class Answers(NamedTuple):
    """The replies of one model."""

    replies: dict[str, list[Reply]]
    """By task id."""
    fingerprint: str
    """Answers of different fingerprints are not comparable."""
    unanswered: Mapping[str, str] = MappingProxyType({})
    """Why a task has no reply, by task id: a failure of the server, and never a failed task."""


def cut(completion: str, stops_at_dedent: bool, name: str = "") -> str:
    """Return the completion up to the end of its function: the first dedent.

    A completion that starts at column 0 with the function's own head keeps that head: only text after a line break
    counts as outside, and the lines before the first indented one (imports, decorators, the head) are inside. With a
    name, the function is the one of that name, and everything before it (its helpers) is inside; until that function
    begins, nothing ends. Text appended after the cut does not change the result.
    """
    if not stops_at_dedent:
        return completion
    head = re.search(rf"^(?:(?:async )?def|class) {re.escape(name)}\b", completion, re.MULTILINE) if name else None
    if name and head is None:
        return completion
    body = BODY.search(completion, head.end() if head is not None else 0)
    if body is None:
        return completion
    end = DEDENT.search(completion, body.end())
    return completion[: end.start() + 1] if end else completion


def ending(task: Task) -> tuple[bool, str]:
    """Return whether a task's answer ends at a dedent, and the name of the function that ends there, as for `cut`.

    A program has no such end. If the prompt is not already the function's head, the answer may define helpers first,
    so the function of that name must end.
    """
    is_head = bool(task.prelude) and task.prompt.endswith(task.prelude)
    named = task.kind == "function" and not is_head
    return task.kind == "function", (task.entry_point or "").partition(".")[0] if named else ""
