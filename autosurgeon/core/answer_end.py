"""Where an answer ends: at its first dedent for a function. One rule for the capsule and for whoever asks a server."""

from __future__ import annotations

import re

from autosurgeon.core.task import Task

# After a line break, anything that is no blank, no comment and no closing bracket is outside the function.
DEDENT = re.compile(r"\n(?=[^\s#)\]}])")


BODY = re.compile(r"(?:^|\n)[ \t]")


def cut(completion: str, stops_at_dedent: bool, name: str = "") -> str:
    """The completion up to the end of its function.

    A completion that starts at column 0 with the function's own head keeps that head: only what follows a line break
    counts as outside, and lines before the first indented one (imports, decorators, the head) are inside. With a name,
    the function is the one of that name, and whatever stands before it (helpers of its own) is inside: until it is
    there, nothing has ended. What a text is cut to does not change when more is written behind it.
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
    """Whether a task's answer ends at a dedent, and the function that has to end there; both as `cut` takes them.

    A program is read to its end. Where the prompt is not the function's head already, the answer may define helpers
    first, so that it is the function of that name which has to end.
    """
    is_head = bool(task.prelude) and task.prompt.endswith(task.prelude)
    named = task.kind == "function" and not is_head
    return task.kind == "function", (task.entry_point or "").partition(".")[0] if named else ""
