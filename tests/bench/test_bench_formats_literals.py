from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.bench.formats.literals import MAX_DEPTH, NoLiteralError, literal

HASHABLE = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(st.characters())
)
PLAIN = st.recursive(
    HASHABLE | st.binary() | st.sets(HASHABLE),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(HASHABLE, inner),
    max_leaves=10,
)


def spelled(value: Any) -> Any:
    """The value with its types beside it, and sets in an order; 0.0 and -0.0 are one inside a complex number only."""
    if isinstance(value, list | tuple):
        return type(value), [spelled(item) for item in value]
    if isinstance(value, dict):
        return dict, [(spelled(key), spelled(item)) for key, item in value.items()]
    if isinstance(value, set):
        return set, sorted(map(repr, map(spelled, value)))
    if isinstance(value, complex):
        return complex, repr(value.real + 0.0), repr(value.imag + 0.0)
    return type(value), repr(value)


@given(value=PLAIN)
def test_a_literal_reads_back_as_the_same_value_of_the_same_type(value: object) -> None:
    assert spelled(ast.literal_eval(literal(value))) == spelled(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((), "()"),
        ((1,), "(1,)"),
        (set(), "set()"),
        ({2, 10}, "{10, 2}"),
        (float("inf"), "1e999"),
        ([-float("inf")], "[-1e999]"),
        (complex(0, float("-inf")), "(0.0-1e999j)"),
        ("\ud800", "'\\ud800'"),
    ],
)
def test_what_repr_would_not_do_for_is_spelled_all_the_same(value: object, text: str) -> None:
    assert literal(value) == text
    assert ast.literal_eval(text) == value


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        complex(0, float("nan")),
        pytest.param(10**5000, id="digits"),
        object(),
        frozenset(),
        range(3),
    ],
)
def test_what_no_literal_spells_is_refused(value: object) -> None:
    with pytest.raises(NoLiteralError):
        literal([{"a": (value,)}])


def test_a_value_is_only_as_deep_as_pythons_own_parser_can_follow() -> None:
    value: list[Any] = []
    for _ in range(MAX_DEPTH):
        value = [value]
    assert ast.literal_eval(literal(value)) == value
    with pytest.raises(NoLiteralError, match="deep"):
        literal([value])
