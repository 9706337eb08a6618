from __future__ import annotations

import collections
import contextlib
import json
import math
import socket
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaindata import PLAIN, agree, cross, has_nan


def crossed(value: Any) -> Any:
    return cross.decode(json.loads(json.dumps(cross.encode(value))))


@given(PLAIN)
def test_plain_data_crosses_unchanged_in_value_and_type(value: Any) -> None:
    got = crossed(value)
    assert type(got) is type(value)
    if not has_nan(value):
        assert got == value
        assert agree.same(value, got)


@pytest.mark.parametrize("value", [-0.0, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, "\ud800", "\0"])
def test_values_at_the_edges_cross_bit_by_bit(value: Any) -> None:
    got = crossed([value])[0]
    assert type(got) is type(value)
    assert got == value
    if isinstance(value, float):
        assert struct.pack("d", got) == struct.pack("d", value)


def test_a_huge_integer_crosses() -> None:
    assert crossed([10**6000]) == [10**6000]


def test_nan_crosses_as_nan() -> None:
    assert math.isnan(crossed(math.nan))


@pytest.mark.parametrize(
    "value",
    [range(3, 9, 2), bytearray(b"ab"), collections.Counter("aab"), int, list, {"a": 1}.keys(), collections.deque([1])],
)
def test_common_types_beyond_the_basic_ones_cross_as_themselves(value: Any) -> None:
    assert crossed(value) == value
    assert type(crossed(value)) is type(value)


@pytest.mark.parametrize("make", [lambda: (n for n in range(3)), lambda: map(abs, range(3)), lambda: iter([0, 1, 2])])
def test_an_iterator_crosses_as_an_iterator_over_what_it_gives(make: Any) -> None:
    assert list(crossed(make())) == [0, 1, 2]


class Sly(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


class Named(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise AssertionError("the encoder asked the candidate for its name")


class Odd(metaclass=Named):
    pass


def endless() -> Any:
    while True:
        yield 0


@pytest.mark.parametrize("value", [Sly(1), [Sly(1)], {Sly(1): 1}, object(), print, Sly, endless(), lambda: 0])
def test_what_is_no_plain_data_does_not_cross(value: Any) -> None:
    with pytest.raises(cross.NotPlainError):
        cross.encode(value)


def test_a_class_that_lies_about_its_name_is_not_asked_for_it() -> None:
    with pytest.raises(cross.NotPlainError, match="Odd"):
        cross.encode(Odd())


def test_a_list_that_holds_itself_ends_at_the_depth() -> None:
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    with pytest.raises(cross.NotPlainError, match="too deep"):
        cross.encode(cyclic)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"a": 1, "b": 2},
        {"object": 1},
        {"int": 5},
        {"int": "five"},
        {"float": "pi"},
        {"float": 1},
        {"list": [1]},
        {"tuple": 5},
        {"tuple": "ab"},
        {"set": [[1]]},
        {"dict": [[1]]},
        {"dict": [[[], 1]]},
        {"bytes": 5},
        {"bytes": "zz"},
        {"complex": [1]},
        {"range": [1, 2, 0]},
        {"range": ["a"]},
        {"type": "object"},
        {"type": []},
        {"record": 5},
        {"iterator": 5},
        [{"object": 1}],
    ],
)
def test_what_the_encoder_would_never_say_is_refused(body: Any) -> None:
    with pytest.raises(cross.NotPlainError):
        cross.decode(body)


def test_nesting_beyond_the_depth_is_refused() -> None:
    body: Any = None
    for _ in range(200):
        body = [body]
    with pytest.raises(cross.NotPlainError, match="too deep"):
        cross.decode(body)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON)
def test_any_json_is_decoded_or_refused_and_nothing_else(body: Any) -> None:
    with contextlib.suppress(cross.NotPlainError):
        cross.decode(body)


def pair_saying(said: bytes) -> socket.socket:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(said)
    return ours


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"", "BrokenError"),
        (b"\0\0", "BrokenError"),
        (struct.pack(">I", 9) + b"{}", "BrokenError"),
        (struct.pack(">I", 1 << 30), "OverflowError"),
        (struct.pack(">I", 3) + b"\xff\xfe\xfd", "NotPlainError"),
        (struct.pack(">I", 5000) + b"[" * 5000, "NotPlainError"),
        (struct.pack(">I", 6000) + b"9" * 6000, "NotPlainError"),
        (struct.pack(">I", 0), "NotPlainError"),
        (struct.pack(">I", 2) + b"{}" + struct.pack(">I", 2) + b"{}", "NotPlainError"),
        (struct.pack(">I", 4) + b"{}{}", "NotPlainError"),
    ],
)
def test_a_frame_that_is_none_is_refused_by_its_kind(said: bytes, error: str) -> None:
    with pair_saying(said) as channel, pytest.raises(getattr(cross, error, OverflowError)):
        cross.receive(channel, 1 << 20)


def test_a_frame_arrives_as_it_was_sent() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        cross.send(ours, {"a": [1, "\ud800"]})
        assert cross.receive(theirs) == {"a": [1, "\ud800"]}
