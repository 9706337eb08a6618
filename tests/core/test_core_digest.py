from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.core.digest import canonical_json, digest_json, digest_text

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=4))


def shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@given(JSON)
def test_the_order_of_keys_does_not_change_the_canonical_json(value: Any) -> None:
    assert canonical_json(shuffled(value)) == canonical_json(value)


@given(JSON)
def test_canonical_json_parses_to_the_same_value(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value


@given(JSON, JSON)
def test_canonical_json_is_equal_only_for_equal_values(one: Any, other: Any) -> None:
    if canonical_json(one) == canonical_json(other):
        assert one == other


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_outside_of_json_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"loss": [number]})


def test_a_digest_is_the_sha256_of_the_utf8_text() -> None:
    assert digest_text("Größe") == hashlib.sha256("Größe".encode()).hexdigest()


def test_the_digest_of_a_value_is_that_of_its_canonical_json() -> None:
    assert digest_json({"b": 1, "a": "ü"}) == digest_text('{"a":"ü","b":1}')


def test_a_whole_number_and_a_float_have_different_digests() -> None:
    assert digest_json(1) != digest_json(1.0)
