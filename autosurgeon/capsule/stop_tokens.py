"""The tokens that may end a function; `core/answers.py` has the rule."""

from __future__ import annotations

import re
from typing import Any

import torch

from autosurgeon.core.answers import DEDENT

_OUTSIDE = re.compile(r"[^\s#)\]}]")


class DedentTokens:
    """A table on the device of the tokens that may end a function, so that no step waits for decoded text.

    The table is a superset: the text of a suspected row is decoded and checked exactly.
    """

    def __init__(self, tokenizer: Any, vocabulary: int, device: torch.device) -> None:
        # A model's vocabulary may be padded to a round number above that of its tokenizer.
        known = tokenizer.batch_decode([[token] for token in range(min(vocabulary, len(tokenizer)))])
        texts = known + [""] * (vocabulary - len(known))
        flags = ([bool(test(text)) for text in texts] for test in (DEDENT.search, _ends_a_line, _OUTSIDE.match))
        self._inside, self._breaks, self._outside = (torch.tensor(flag, device=device) for flag in flags)

    def suspects(self, before: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        """Return one flag per row: whether this token, after the one before, may be outside of the function."""
        return self._inside[token] | (self._breaks[before] & self._outside[token])


def _ends_a_line(text: str) -> bool:
    return text.endswith("\n")
