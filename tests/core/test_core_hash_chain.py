"""The functions of the chain: canonical JSON, hashes, and a walk that reports where the chain breaks."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.core.hash_chain import GENESIS, Event, Head, Walk, hash_of, line_of, link, payload_text

TEXT = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.integers(1, 2**53 - 1), TEXT, TEXT, TEXT)
def test_the_fast_encoding_of_an_event_is_that_of_rfc_8785(seq: int, at: str, subject: str, payload: str) -> None:
    event = link(Head(seq - 1, GENESIS), at, "stage", subject, payload)
    content = event._asdict()
    assert line_of(event) == rfc8785.dumps(content) + b"\n"
    del content["hash"]
    assert event.hash == hashlib.sha256(rfc8785.dumps(content)).hexdigest()


@given(JSON)
def test_a_value_and_its_row_in_the_database_have_the_same_canonical_json(value: Any) -> None:
    assert payload_text(json.loads(json.dumps(value))) == payload_text(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1.0, "a": -0.0}, '{"a":0,"b":1}'),
        (2**53, '"9007199254740992"'),
        (float("inf"), '"inf"'),
        ("\ud800", '"\\\\ud800"'),
        ("ö\u2028", '"ö\u2028"'),
    ],
)
def test_canonical_payloads(value: object, text: str) -> None:
    assert payload_text(value) == text


def chain(length: int) -> list[Event]:
    events: list[Event] = []
    for number in range(length):
        head = Head(number, events[-1].hash) if events else Head(0, GENESIS)
        events.append(link(head, "at", "stage", "s", str(number)))
    return events


def test_a_whole_chain_has_no_break_and_its_head_is_its_last_entry() -> None:
    walk = Walk()
    assert [walk.step(event) for event in chain(5)] == [None] * 5
    assert walk.head == Head(5, chain(5)[-1].hash)


@pytest.mark.parametrize("field", ["at", "kind", "subject", "payload"])
def test_the_hash_covers_every_field(field: str) -> None:
    event = chain(1)[0]
    other: dict[str, Any] = {field: "another"}
    assert hash_of(event._replace(**other)) != event.hash
    broken = Walk().step(event._replace(**other))
    assert broken is not None
    assert (broken.seq, broken.what) == (1, "an entry was changed after it was written")
