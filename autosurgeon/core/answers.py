"""A model's answers to tasks, and where an answer ends; the capsule and clients of servers share the rule."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from pydantic import Field

from autosurgeon.core.envelope import ORGAN
from autosurgeon.core.task import Task
from autosurgeon.core.value import Value

_OUTSIDE = re.compile(r"[^\s#)\]}]")
# After a line break, any character except blanks, comments and closing brackets may be outside of the function.
DEDENT = re.compile(rf"\n(?={_OUTSIDE.pattern})")
_DEFINITION = re.compile(r"(?:async|def|class|from|import)\b|@")
_SIGNS = re.compile(
    r"""
    (?P<comment> \#[^\n]* )
    | \\\r?\n
    | (?P<triple>\"{3}|'{3}) (?: \\. | (?!(?P=triple))[^\\] )* (?: (?P=triple) | \\?\Z )
    | (?P<quote>["']) (?: \\. | (?!(?P=quote))[^\\\n] )* (?P=quote)?
    | (?P<open>[(\[{]) | (?P<close>[)\]}]) | (?P<line>\n)
    """,
    re.VERBOSE | re.DOTALL,
)
"""What decides whether a line break ends a statement; unlike `tokenize`, it reads text that is no Python yet."""


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


class Ending(NamedTuple):
    """Where the answer to a task ends; the arguments of `cut`."""

    stops_at_dedent: bool
    name: str = ""
    """The function that has to end; empty for the first one."""
    continues: bool = False
    """Whether the prompt is the head of that function, so that the answer may begin with its body."""
    stops: tuple[str, ...] = ()
    """Texts before which an answer ends."""


def cut(
    completion: str, stops_at_dedent: bool, name: str = "", continues: bool = False, stops: tuple[str, ...] = ()
) -> str:
    """Return the completion up to its first stop or, for a function, the first dedent that begins a statement.

    A line at column 0 inside a string, a bracket or a continued line ends no function. The lines before the body
    (imports, decorators, the head) are inside. With a name, the function is the one of that name, and its helpers
    before it are inside; until that function begins, nothing ends. Text appended after the cut does not change the
    result.
    """
    # Of two ends, the one that is complete first counts, so that a longer text is cut at the same place.
    found = [(place + len(stop), place) for stop in stops if (place := completion.find(stop)) >= 0]
    if stops_at_dedent and (dedent := _dedent(completion, name, continues)) is not None:
        found.append((dedent + 1, dedent))
    return completion[: min(found)[1]] if found else completion


def _dedent(text: str, name: str, continues: bool) -> int | None:
    """Return where the first statement behind the function begins."""
    if not DEDENT.search(text):
        return None
    head = re.compile(rf"(?:(?:async\s+)?def|class)\s+{re.escape(name)}\b")
    is_first_body = continues and _OUTSIDE.match(text) is not None and _DEFINITION.match(text) is None
    has_begun, has_body, is_behind_head = continues or not name, is_first_body, False
    for start, is_open in _logical_lines(text):
        # A function may stand on one line.
        has_body = has_body or (is_behind_head and not is_open)
        is_behind_head = False
        if text[start : start + 1] in (" ", "\t"):
            has_body = has_body or has_begun
        elif start and has_begun and has_body and _OUTSIDE.match(text, start):
            return start
        elif name and not has_body and _OUTSIDE.match(text, start):
            is_behind_head = head.match(text, start) is not None
            has_begun = is_behind_head or (has_begun and not continues)
    return None


def _logical_lines(text: str) -> Iterator[tuple[int, bool]]:
    """Where lines begin that continue no string, bracket or line, and whether the one before opens a block."""
    depth = begin = 0
    comment: int | None = None
    yield 0, False
    for sign in _SIGNS.finditer(text):
        if sign["comment"]:
            comment = sign.start()
        elif sign["open"]:
            depth += 1
        elif sign["close"]:
            depth = max(0, depth - 1)
        elif sign["line"]:
            code = text[begin : sign.start() if comment is None else comment]
            begin, comment = sign.end(), None
            if depth == 0:
                yield begin, code.rstrip().endswith(":")


def ending(task: Task) -> Ending:
    """Return where the answer to a task ends.

    A program ends at its stops alone. If the prompt is not already the function's head, the answer may define helpers
    first, so the function of that name must end.
    """
    if task.kind != "function":
        return Ending(False, stops=task.stops)
    is_head = bool(task.prelude) and task.prompt.endswith(task.prelude)
    return Ending(True, (task.entry_point or "").partition(".")[0], is_head, task.stops)
