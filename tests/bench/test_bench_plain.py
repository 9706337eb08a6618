from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.bench.jail import INMATE
from autosurgeon.bench.plain import NotPlainError, decode, same

HASHABLE: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=6,
)
PLAIN: st.SearchStrategy[Any] = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.sets(HASHABLE, max_size=3)
        | st.dictionaries(HASHABLE, inner, max_size=3)
    ),
    max_leaves=8,
)
Encode = Callable[[Any], Any]


@pytest.fixture(scope="module")
def encode() -> Encode:
    """The inmate's own encoder, taken from its file without starting the program."""
    source = INMATE.read_text(encoding="utf-8").removesuffix("main()\n")
    scope: dict[str, Any] = {}
    exec(compile(source, str(INMATE), "exec"), scope)
    return lambda value: scope["encode"](value)


@given(PLAIN)
def test_plain_data_crosses_the_wall_unchanged(encode: Encode, value: Any) -> None:
    assert same(value, decode(encode(value)))


@given(PLAIN, PLAIN)
def test_being_the_same_does_not_depend_on_who_is_asked(one: Any, other: Any) -> None:
    assert same(one, other) == same(other, one)


@given(PLAIN, PLAIN)
def test_what_is_the_same_is_also_equal_and_of_one_type(one: Any, other: Any) -> None:
    if same(one, other):
        assert one == other
        assert type(one) is type(other)


@given(HASHABLE)
def test_everything_is_the_same_as_itself_at_any_depth(value: Any) -> None:
    for wrapped in (value, [value], (value,), {value}, {value: [value]}, [{"k": (value,)}]):
        assert same(wrapped, wrapped)


@pytest.mark.parametrize(("one", "other"), [(1, True), (0, False), (1, 1.0), ("1", 1), ((), []), (set(), frozenset())])
def test_a_value_of_another_type_is_another_value_at_any_depth(one: Any, other: Any) -> None:
    def wrappings(value: Any) -> list[Any]:
        inside = [value, [value], (value,), {"k": value}, [[(value,)]]]
        try:
            return [
                *inside,
                {value},
                frozenset({value}),
                {value: 0},
                {(value,): 0},
                {frozenset({value})},
                {((value,),)},
            ]
        except TypeError:  # a list or a set is no member of a set
            return inside

    for this, that in zip(wrappings(one), wrappings(other), strict=False):
        assert not same(this, that)
        assert not same(that, this)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1], [1, 1]),
        ([1, 2], [2, 1]),
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"b": 1}),
        ({1}, {1, 2}),
        (0.1, 0.2),
        ("a", "a "),
    ],
)
def test_another_content_is_not_the_same(one: Any, other: Any) -> None:
    assert not same(one, other)


def test_the_order_of_keys_is_no_difference() -> None:
    assert same({"a": 1, "b": 2}, {"b": 2, "a": 1})


@pytest.mark.parametrize(
    "encoded",
    [
        None,
        5,
        "none",
        [],
        {},
        ["int"],
        ["int", 5],
        ["int", "five"],
        ["bool", 1],
        ["str", 1],
        ["float", "pi"],
        ["list", 5],
        ["list", "ab"],
        ["list", [["foreign", "X"]]],
        ["dict", [[["str", "a"]]]],
        ["dict", [[["list", []], ["none"]]]],
        ["set", [["list", []]]],
        ["foreign", "Decimal"],
        ["bytes", "00"],
        [["int"], "0x1"],
        [None],
    ],
)
def test_what_is_no_plain_data_is_refused(encoded: Any) -> None:
    with pytest.raises(NotPlainError):
        decode(encoded)


def test_nesting_beyond_reason_is_refused() -> None:
    encoded: Any = ["none"]
    for _ in range(200):
        encoded = ["list", [encoded]]
    with pytest.raises(NotPlainError, match="malformed"):
        decode(encoded)


def test_the_encoder_ends_at_its_depth_even_on_a_list_that_holds_itself(encode: Encode) -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(NotPlainError, match="too deep"):
        decode(encode(endless))


def test_a_subclass_is_foreign_however_it_compares(encode: Encode) -> None:
    class Sly(int):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = int.__hash__

    assert encode(Sly(1)) == ["foreign", "Sly"]
