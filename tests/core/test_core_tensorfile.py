from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.core.tensorfile import ALIGNMENT, WIDTH_BYTES, header_bytes, padded_header, parse_header
from autosurgeon.errors import PackError

TENSORS = st.lists(
    st.tuples(
        st.text(min_size=1, max_size=12).filter(lambda name: name != "__metadata__"),
        st.sampled_from(sorted(WIDTH_BYTES)),
        st.lists(st.integers(0, 9), max_size=3).map(tuple),
    ),
    max_size=8,
    unique_by=lambda tensor: tensor[0],
)


def header_of(**entry: Any) -> bytes:
    good: dict[str, Any] = {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}
    return json.dumps({"w": good | entry}).encode()


@given(TENSORS)
def test_a_padded_header_survives_a_round_trip(tensors: list[tuple[str, str, tuple[int, ...]]]) -> None:
    first, header = padded_header(tensors)
    length = header_bytes(first[:8], "here")
    assert len(first) == 8 + length
    assert parse_header(first[8:], "here") == header
    assert [(t.name, t.dtype, t.shape) for t in header.tensors] == tensors


@given(TENSORS)
def test_tensors_start_at_a_page_and_are_contiguous(tensors: list[tuple[str, str, tuple[int, ...]]]) -> None:
    first, header = padded_header(tensors)
    assert header.data_start == len(first)
    assert header.data_start % ALIGNMENT == 0
    at = 0
    for tensor in header.tensors:
        assert tensor.start == at
        at = tensor.end
    assert header.file_bytes == header.data_start + at


@pytest.mark.parametrize("prefix", [b"", b"\x10", b"\x10\0\0\0\0\0\0"])
def test_a_file_shorter_than_its_length_field_is_cut_short(prefix: bytes) -> None:
    with pytest.raises(PackError, match="cut short"):
        header_bytes(prefix, "w.safetensors")


@pytest.mark.parametrize("length", [0, 1, 100_000_001, 2**63])
def test_an_implausible_header_length_is_refused_before_the_header_is_read(length: int) -> None:
    with pytest.raises(PackError, match="no safetensors header"):
        header_bytes(struct.pack("<Q", length), "w.safetensors")


@pytest.mark.parametrize(
    "raw",
    [
        b"\x80\x04pickle",
        b"[]",
        b'"text"',
        b'{"w": 5}',
        b'{"w": {"dtype": "BF16", "shape": [1]}}',
        b"[" * 100_000,
        header_of(data_offsets=[0]),
        header_of(data_offsets=[0, 1, 2]),
        header_of(data_offsets=[0, None]),
        header_of(data_offsets=["0", "2"]),
        header_of(data_offsets=[0.0, 2.0]),
        header_of(data_offsets=[False, 2]),
        header_of(dtype=["BF16"]),
        header_of(dtype=None),
        header_of(shape="ab"),
        header_of(shape=["a", "b"]),
        header_of(shape=[1.0]),
        header_of(shape=[True]),
        header_of(shape=None),
        header_of(shape=[-1], data_offsets=[0, -2]),
        header_of(shape=[-1, -1]),
    ],
)
def test_a_malformed_header_is_a_pack_error(raw: bytes) -> None:
    with pytest.raises(PackError):
        parse_header(raw, "w.safetensors")


def test_a_tensor_of_an_unknown_type_is_named() -> None:
    with pytest.raises(PackError, match="w: Q4_K"):
        parse_header(header_of(dtype="Q4_K"), "w.safetensors")


@pytest.mark.parametrize(("start", "end"), [(2, 4), (0, 1), (0, 4), (2, 0)])
def test_a_gap_an_overlap_or_a_wrong_size_is_refused(start: int, end: int) -> None:
    with pytest.raises(PackError, match="does not add up"):
        parse_header(header_of(data_offsets=[start, end]), "w.safetensors")


def test_two_tensors_on_the_same_bytes_are_refused() -> None:
    entry = {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}
    with pytest.raises(PackError, match="does not add up"):
        parse_header(json.dumps({"a": entry, "b": entry}).encode(), "w.safetensors")


def test_metadata_is_not_a_tensor() -> None:
    header = parse_header(b'{"__metadata__": {"format": "pt"}}', "w.safetensors")
    assert header.tensors == ()
    assert header.file_bytes == header.data_start
