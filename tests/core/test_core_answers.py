"""Where a function ends."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.core import answers
from autosurgeon.core.answers import Ending, cut


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


@pytest.mark.parametrize(
    "body",
    [
        '    text = """\nno end\n"""\n    return text\n',
        "    text = '''\n\\'''\n\"\"\" inside\n'''\n    return text\n",
        "    rows = [\n1, (\n2),\n]\n    return rows\n",
        "    total = 1 + \\\nx\n    return total\n",
        "    text = 'a \\\nb'\n    return text\n",
        '    return \'# no comment (\' # a comment """ [\n',
        "    return r'\\\\'\n",
        "    return {'a': ['}']}\n",
    ],
)
@pytest.mark.parametrize("continues", [True, False])
def test_a_line_at_the_margin_inside_a_string_a_bracket_or_a_continued_line_ends_nothing(
    body: str, continues: bool
) -> None:
    text = body if continues else f"def solve(x):\n{body}"
    ast.parse(f"def solve(x):\n{body}")
    assert cut(text + "And this is what it does:\n", True, "solve", continues) == text


@pytest.mark.parametrize(
    "line", ["def solve(x): return x  # so:\n", "class solve: pass\n", "async  def solve(): ...\n"]
)
def test_a_function_may_stand_on_one_line(line: str) -> None:
    assert cut(f"import math\n{line}This returns x.\n", True, "solve") == f"import math\n{line}"


@pytest.mark.parametrize(
    ("completion", "kept"),
    [
        ("    return x\n\ndef solve(x):\n    return 1\n", "    return x\n\n"),
        ("import math\n\ndef helper():\n    pass\n\ndef solve(x):\n    return x\nprint()\n", -8),
        ("@cache\ndef solve(x):\n    return x\nprint()\n", -8),
        ("return x\nprint()\n", -8),
    ],
)
def test_the_answer_to_the_head_of_a_function_is_its_body_or_the_whole_function(
    completion: str, kept: int | str
) -> None:
    wanted = kept if isinstance(kept, str) else completion[:kept]
    assert cut(completion, True, "solve", continues=True) == wanted


@pytest.mark.parametrize(
    ("completion", "stops", "kept"),
    [
        ("print(1)\n<end>\nprint(2)\n", ("<end>",), "print(1)\n"),
        ("print(1)\n", ("<end>",), "print(1)\n"),
        # The stop that is complete first counts, as it does while the text is still being generated.
        ("abc", ("abc", "b"), "a"),
    ],
)
def test_an_answer_ends_before_its_first_stop(completion: str, stops: tuple[str, ...], kept: str) -> None:
    assert cut(completion, False, stops=stops) == kept


def test_the_bodies_of_this_package_are_cut_where_python_ends_them() -> None:
    for file in (Path(answers.__file__), Path(__file__), Path(ast.__file__)):
        source = file.read_text("utf-8")
        lines = source.splitlines(keepends=True)
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef):
                function = "".join(lines[node.lineno - 1 : node.end_lineno])
                kept = cut(f"{function.rstrip()}\nNow it is done.\n", True, node.name)
                assert kept.rstrip() == function.rstrip()


PIECES = st.lists(
    st.sampled_from(
        [
            "\n",
            " ",
            "    ",
            "def f():",
            "def f(): return 1",
            "x",
            "#",
            "(",
            ")",
            "[",
            "\\",
            "'",
            '"',
            '"""',
            "return 1",
            ":",
        ]
    ),
    max_size=30,
)
STOPS = st.sampled_from([(), ("x",), ("f()", "\n\n"), ("x\n", "\nx")])


@given(PIECES, st.sampled_from(["", "f", "g"]), st.booleans(), st.booleans(), STOPS)
def test_text_after_the_cut_does_not_change_the_result_and_the_cut_of_a_cut_is_the_cut(
    pieces: list[str], name: str, at_dedent: bool, continues: bool, stops: tuple[str, ...]
) -> None:
    end = Ending(at_dedent, name, continues, stops)
    text = ""
    for piece in pieces:
        before, text = text, text + piece
        kept = cut(before, *end)
        assert cut(kept, *end) == kept
        if kept != before:
            assert cut(text, *end) == kept
