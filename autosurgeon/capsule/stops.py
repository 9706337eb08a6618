"""Where an answer ends: at its first dedent for a function, and which tokens can bring that end about."""

from __future__ import annotations

import re
from typing import Any

import torch

# After a line break, anything that is no blank, no comment and no closing bracket is outside the function.
DEDENT = re.compile(r"\n(?=[^\s#)\]}])")
BODY = re.compile(r"(?:^|\n)[ \t]")
_OUTSIDE = re.compile(r"[^\s#)\]}]")


def cut(completion: str, stops_at_dedent: bool, name: str = "") -> str:
    """The completion up to the end of its function.

    A completion that starts at column 0 with the function's own head keeps that head: only what follows a line break
    counts as outside, and lines before the first indented one (imports, decorators, the head) are inside. With a name,
    the function is the one of that name, and whatever stands before it (helpers of its own) is inside: until it is
    there, nothing has ended.
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


class DedentTokens:
    """Which tokens may end a function: looked up on the device, so that no step waits for a text to be decoded.

    A superset: whoever is suspected is decoded and looked at in earnest.
    """

    def __init__(self, tokenizer: Any, vocabulary: int, device: torch.device) -> None:
        # A model may know more tokens than its tokenizer, which is padding to a round number.
        known = tokenizer.batch_decode([[token] for token in range(min(vocabulary, len(tokenizer)))])
        texts = known + [""] * (vocabulary - len(known))
        flags = ([bool(test(text)) for text in texts] for test in (DEDENT.search, _ends_a_line, _OUTSIDE.match))
        self._inside, self._breaks, self._outside = (torch.tensor(flag, device=device) for flag in flags)

    def suspects(self, before: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        """One flag a row: whether this token, after that one, may stand outside the function."""
        return self._inside[token] | (self._breaks[before] & self._outside[token])


def _ends_a_line(text: str) -> bool:
    return text.endswith("\n")
