"""Where a function ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.core.answers import cut


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


@pytest.mark.parametrize(
    ("completion", "kept"),
    [
        ("def helper(x):\n    return x\n\ndef solve(x):\n    return helper(x)\nassert 1\n", -9),
        ("class Pair:\n    pass\nclass solve:\n    def of(self):\n        return 1\nprint()\n", -8),
        ("import math\ndef solve(x):\n    return x\ndef other():\n    pass\n", -22),
        ("def solver(x):\n    return x\nprint(solver(1))\n", None),
        ("def solve(\n    x,\n):\n    return x\nsolve(1)\n", -9),
    ],
)
def test_a_named_function_ends_at_its_own_dedent_and_not_at_that_of_its_helpers(
    completion: str, kept: int | None
) -> None:
    assert cut(completion, stops_at_dedent=True, name="solve") == completion[:kept]


PIECES = st.lists(st.sampled_from(["\n", " ", "    ", "def f():", "x", "#", ")", "return 1", "\n\n"]), max_size=30)


@given(PIECES, st.sampled_from(["", "f", "g"]))
def test_text_after_the_cut_does_not_change_the_result(pieces: list[str], name: str) -> None:
    text = ""
    for piece in pieces:
        before, text = text, text + piece
        if cut(before, True, name) != before:
            assert cut(text, True, name) == cut(before, True, name)
