from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from plaindata import HASHABLE, PLAIN, agree, has_nan


@given(PLAIN, PLAIN)
def test_being_the_same_does_not_depend_on_who_is_asked(one: Any, other: Any) -> None:
    assert agree.same(one, other) == agree.same(other, one)


@given(PLAIN, PLAIN)
def test_what_is_the_same_is_also_equal_and_of_one_type(one: Any, other: Any) -> None:
    if agree.same(one, other) and not has_nan(one):
        assert one == other
        assert type(one) is type(other)


@given(HASHABLE)
def test_everything_is_the_same_as_itself_at_any_depth(value: Any) -> None:
    if not has_nan(value):
        for wrapped in (value, [value], (value,), {value}, {value: [value]}, [{"k": (value,)}]):
            assert agree.same(wrapped, wrapped)


@pytest.mark.parametrize(("one", "other"), [(1, True), (0, False), (1, 1.0), ("1", 1), ((), []), (set(), frozenset())])
def test_a_value_of_another_type_is_another_value_at_any_depth(one: Any, other: Any) -> None:
    def wrappings(value: Any) -> list[Any]:
        inside = [value, [value], (value,), {"k": value}, [[(value,)]]]
        try:
            return [*inside, {value}, frozenset({value}), {value: 0}, {(value,): 0}, {frozenset({value})}]
        except TypeError:  # a list or a set is no member of a set
            return inside

    for this, that in zip(wrappings(one), wrappings(other), strict=False):
        assert not agree.same(this, that)
        assert not agree.same(that, this)


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
    assert not agree.same(one, other)


def test_the_order_of_keys_is_no_difference() -> None:
    assert agree.same({"a": 1, "b": 2}, {"b": 2, "a": 1})


@pytest.mark.parametrize(
    ("wanted", "got", "atol", "holds"),
    [
        (1.0, 1.0 + 5e-7, 0, True),
        (1.0, 1.0 + 5e-6, 0, False),
        (1, 1 + 5e-7, 0, False),
        (1, True, 0, True),
        ([1.0, 2.0], [1.0, 2.0 + 5e-7], 0, True),
        ([1.0, 2.0], (1.0, 2.0 + 5e-7), 0, False),
        ([1.0, 2.0], [1.0], 1, False),
        (1.0, 1.05, 0.1, True),
        (1.0, math.nan, 0.1, False),
        (math.inf, math.inf, 0, True),
        (math.inf, 1.0, 0.1, False),
        (1.0, 10**400, 0.1, False),
        ("a", "b", 9.0, False),
        ([["a", 1.0]], [["a", 1.01]], 0.1, True),
        ([["a", 1.0]], [["b", 1.0]], 0.1, False),
        (None, None, 0, True),
    ],
)
def test_floats_are_close_within_the_tolerance_and_all_else_is_equal(
    wanted: Any, got: Any, atol: float, holds: bool
) -> None:
    assert agree.close(wanted, got, atol) is holds


@pytest.mark.parametrize(
    ("wanted", "got", "holds"),
    [
        ("1 2\n3\n", "1 2\n3\n", True),
        ("1 2\n3\n", "1 2  \n3\n\n", True),
        ("1 2\n3\n", " 1 2\n3\n", True),
        ("1 2\n3\n", "1 2\n", False),
        ("1 2\n3\n", "1 2 3\n", False),
        ("0.5\n", "0.50", True),
        ("0.5\n", "0.51", False),
        ("yes\n", "YES\n", False),
        ("1\n", "one\n", False),
        ("", "", True),
        ("nan", "x", False),
    ],
)
def test_printed_answers_agree_line_by_line_and_numbers_by_value(wanted: str, got: str, holds: bool) -> None:
    assert agree.text(wanted, got) is holds
