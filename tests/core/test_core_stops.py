"""Where a function ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.core.stops import cut


@pytest.mark.parametrize(
    ("completion", "kept"),
    [
        ("    return 1\nprint(solve(2))\n", "    return 1\n"),
        ("    return 1\n\n\ndef other():\n    pass\n", "    return 1\n\n\n"),
        ("    x = [\n        1,\n]\n    return x\nclass A: pass\n", "    x = [\n        1,\n]\n    return x\n"),
        ("def solve(x):\n    return x\nsolve(1)\n", "def solve(x):\n    return x\n"),
        ("import math\ndef solve(x):\n    return x\nsolve(1)\n", "import math\ndef solve(x):\n    return x\n"),
        (
            "    return 1\n# a comment at the margin\n    # more\n",
            "    return 1\n# a comment at the margin\n    # more\n",
        ),
        ("    return 1", "    return 1"),
        ("", ""),
    ],
)
def test_a_function_ends_at_its_first_dedent(completion: str, kept: str) -> None:
    assert cut(completion, stops_at_dedent=True) == kept
    assert cut(completion, stops_at_dedent=False) == completion


PIECES = st.lists(st.sampled_from(["\n", " ", "    ", "def f():", "x", "#", ")", "return 1", "\n\n"]), max_size=30)


@given(PIECES)
def test_what_a_text_is_cut_to_stays_when_more_follows(pieces: list[str]) -> None:
    text = ""
    for piece in pieces:
        before, text = text, text + piece
        if cut(before, True) != before:
            assert cut(text, True) == cut(before, True)
