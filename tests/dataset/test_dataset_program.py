"""The normal form: the changes that it removes, and the differences that it keeps."""

from __future__ import annotations

import keyword
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.dataset.program import Program
from autosurgeon.lab.lab_tasks import compositions, prompt_of, reference_of

CLASSIC = {"f": "shared", "g": "helper", "a": "xs", "b": "limit", "c": "kept", "d": "x", "e": "y", "h": "total"}


class Template(NamedTuple):
    """Definitions with placeholders for names; the names of `apart` belong to disjoint scopes."""

    definitions: tuple[str, ...]
    apart: tuple[str, str] | None = None

    def render(self, names: dict[str, str], order: tuple[int, ...] | None = None) -> str:
        text = [self.definitions[place] for place in order or range(len(self.definitions))]
        return "\n".join(text).format(**names)


TEMPLATES = [
    Template(
        (
            "def {f}({a}, {b}=5):\n    {c} = [{d} for {d} in {a} if {d} > {b}]\n"
            "    return sum({e} * 2 for {e} in {c})\n",
        ),
        ("d", "e"),
    ),
    Template(
        (
            "def {g}({a}, *, {b}):\n    return {a} % {b} == 0\n",
            "def {f}({c}):\n    {h} = 0\n    for {d} in range({c}):\n        if {g}({d}, {b}=3):\n"
            "            {h} += {d}\n    return {h}\n",
        ),
        ("a", "c"),
    ),
    Template(
        (
            "import math\n",
            "def {f}({a}):\n    try:\n        return math.gcd(*{a})\n"
            "    except TypeError as {b}:\n        print({b})\n",
            "def {g}({c}):\n    {d} = lambda {e}: {f}([{e}, 12])\n    return {d}({c})\n",
        ),
        ("a", "e"),
    ),
    Template(
        (
            "class {f}:\n    {a} = 3\n\n    def __init__(self, {b}):\n        self.{c} = {b}\n\n"
            "    def {g}(self):\n        return self.{c} + self.{a}\n",
            "def {h}({d}):\n    return {f}({d}).{g}()\n",
        ),
        ("b", "d"),
    ),
    Template(
        (
            "def {f}({a}):\n    {b} = 0\n\n    def {g}({c}):\n        nonlocal {b}\n        {b} += {c}\n\n"
            "    for {d}, *{e} in {a}:\n        {g}({d})\n    if ({h} := {b}) > 10:\n        return {h}\n"
            "    match {a}:\n        case [{c}, *_]:\n            return {c}\n",
        ),
    ),
    Template(
        ("{h} = []\n", "def {f}({a}):\n    global {h}\n    {h} = {h} + [{a}]\n    return {h}[-1]\n"),
    ),
]
USED = {"sum", "range", "math", "gcd", "print", "TypeError", "self", "_"}
NAMES = st.from_regex(r"[a-zA-Z_][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: not keyword.iskeyword(name) and name not in USED and not name.startswith("__")
)


@st.composite
def namings(draw: st.DrawFn, template: Template) -> dict[str, str]:
    names = draw(st.lists(NAMES, min_size=len(CLASSIC), max_size=len(CLASSIC), unique=True))
    drawn = dict(zip(CLASSIC, names, strict=True))
    if template.apart and draw(st.booleans()):
        one, other = template.apart
        drawn[other] = drawn[one]
    return drawn


@pytest.mark.parametrize("template", TEMPLATES)
@given(data=st.data())
def test_renamed_bindings_do_not_change_the_key(template: Template, data: st.DataObject) -> None:
    names = data.draw(namings(template))
    assert Program(template.render(names)).key == Program(template.render(CLASSIC)).key


def test_a_function_whose_name_is_that_of_the_normal_form_keeps_no_keyword_of_its_own() -> None:
    named = CLASSIC | {"g": "v4", "b": "bound"}
    assert Program(TEMPLATES[1].render(named)).key == Program(TEMPLATES[1].render(CLASSIC)).key


@pytest.mark.parametrize("template", TEMPLATES)
@given(data=st.data())
def test_comments_docstrings_blank_lines_and_indents_do_not_change_the_key(
    template: Template, data: st.DataObject
) -> None:
    width = data.draw(st.sampled_from([1, 2, 4, 8]))
    lines = [line.replace("    ", " " * width) for line in template.render(CLASSIC).splitlines()]
    changed = []
    for line in lines:
        indent = " " * (len(line) - len(line.lstrip()))
        if line.strip() and data.draw(st.booleans()):
            changed.append(data.draw(st.sampled_from(["", "# so it goes", "    # (of [no {consequence"])))
        changed.append(line + data.draw(st.sampled_from(["", "  ", "  # hm", "  # 'quote"])))
        if line.lstrip().startswith(("def ", "class ")) and data.draw(st.booleans()):
            changed.append(f'{indent}{" " * width}"""It does\n what it does: # here."""')
            changed.append(f"{indent}{' ' * width}pass  # in passing")
    assert Program("\n".join(changed)).key == Program(template.render(CLASSIC)).key


@pytest.mark.parametrize("template", TEMPLATES[:4])
@given(data=st.data())
def test_the_order_of_definitions_does_not_change_the_key(template: Template, data: st.DataObject) -> None:
    order = tuple(data.draw(st.permutations(range(len(template.definitions)))))
    names = data.draw(namings(template))
    assert Program(template.render(names, order)).key == Program(template.render(CLASSIC)).key


def test_annotations_and_forms_of_import_do_not_change_the_key() -> None:
    one = "from math import sqrt\ndef f(x):\n    y = sqrt(x)\n    return y\n"
    for other in (
        "import math\ndef f(x):\n    y = math.sqrt(x)\n    return y\n",
        "import math as m, os\ndef f(x: int) -> float:\n    y: float = m.sqrt(x)\n    return y\n",
        "from typing import List\ndef f(x: 'List[int]'):\n    from math import sqrt as root\n"
        "    y = root(x)\n    return y\n",
    ):
        assert Program(other).key == Program(one).key


def test_a_body_equals_its_function_with_the_head_in_the_prompt() -> None:
    head, body = 'def f(a, b):\n    """Add."""\n', "    c = a + b\n    return c\n"
    assert Program(head + body).key == Program("def add(x, y):\n    s = x + y\n    return s\n").key
    assert Program(body).is_body
    assert Program(body).key == Program("  z = one + two\n  return z\n").key


@pytest.mark.parametrize(
    "other",
    [
        "def f(x):\n    return x + 2\n",
        "def f(x):\n    return x - 1\n",
        "def f(x):\n    return abs(x) + 1\n",
        "def f(x, y):\n    return x + 1\n",
        "def f(x, y):\n    return y + 1\n",
        "def f(x):\n    return 1 + x\n",
        "def f(x):\n    return x + True\n",
        "def f(x):\n    return x.a + 1\n",
    ],
)
def test_a_different_computation_has_another_key(other: str) -> None:
    assert Program(other).key != Program("def f(x):\n    return x + 1\n").key


def test_unbound_names_distinguish_programs() -> None:
    keys = {Program(f"def f(xs):\n    return {name}(xs)\n").key for name in ("sum", "len", "max", "unheard_of", "f")}
    assert len(keys) == 5
    assert Program("from math import gcd as f").key is None
    assert Program("from math import gcd\ngcd(1)").key != Program("from math import lcm\nlcm(1)").key


def test_all_programs_of_the_lab_have_different_keys() -> None:
    some = list(compositions())[::7]
    keys = {Program(prompt_of(c, "humaneval") + reference_of(c, "humaneval")).key for c in some}
    assert len(keys) == len(some)


def test_code_that_is_not_python_is_compared_by_its_tokens() -> None:
    one, other = "int add(int a) { return a + 1; }", "int  plus(int b) {\n  return b + 1;  # hm\n}"
    assert not Program(one).parses
    assert Program(one).key == Program(other).key
    assert Program(one).key != Program(other.replace("1", "2")).key


@pytest.mark.parametrize("code", ["", "  \n", "# nothing\n", '"""Nothing."""', "pass", "import os\n"])
def test_code_without_statements_has_no_key(code: str) -> None:
    assert Program(code).key is None


@pytest.mark.parametrize(
    "code",
    ["(" * 5000, "x = " + "-" * 5000 + "1", "x = 1" + " + 1" * 5000, "a\0b", "'\ud800'", '"""' * 2001, "x = '\\d'\n"],
    ids=["nested", "unary", "chain", "null", "surrogate", "quotes", "escape"],
)
def test_hostile_code_has_a_key(code: str) -> None:
    assert Program(code).key == Program(code).key
    assert Program(code).key is not None


@given(st.text(max_size=200))
def test_any_text_can_be_normalised(text: str) -> None:
    assert Program(text).key == Program(text).key
