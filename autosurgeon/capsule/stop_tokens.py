"""Which tokens can bring the end of a function about; `core/answers.py` has the rule."""

from __future__ import annotations

import re
from typing import Any

import torch

from autosurgeon.core.answers import DEDENT

_OUTSIDE = re.compile(r"[^\s#)\]}]")


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
