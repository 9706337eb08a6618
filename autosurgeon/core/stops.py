"""Where an answer ends: at its first dedent for a function. One rule for the capsule and for whoever asks a server."""

from __future__ import annotations

import re

# After a line break, anything that is no blank, no comment and no closing bracket is outside the function.
DEDENT = re.compile(r"\n(?=[^\s#)\]}])")


def cut(completion: str, stops_at_dedent: bool) -> str:
    """The completion up to the end of its function.

    A completion that starts at column 0 with the function's own head keeps that head: only what follows a line break
    counts as outside, and lines before the first indented one (imports, decorators, the head) are inside. What a text
    is cut to does not change when more is written behind it.
    """
    if not stops_at_dedent:
        return completion
    body = re.search(r"(?:^|\n)[ \t]", completion)
    if body is None:
        return completion
    end = DEDENT.search(completion, body.end())
    return completion[: end.start() + 1] if end else completion
