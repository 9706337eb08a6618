"""The header of a safetensors file, read and written without a tensor library.

A file consists of eight bytes of header length (little-endian), a JSON header, and the tensors' bytes. A header padded
with blanks puts the first tensor at a page boundary, so that a runtime can map the file and use the weights in place.
Layout: the safetensors project's format description.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import NamedTuple

from autosurgeon.errors import PackError

ALIGNMENT = 4096
MAX_HEADER_BYTES = 100_000_000  # the format's own limit
WIDTH_BYTES = {"BF16": 2, "F16": 2, "F32": 4, "F64": 8, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


class Tensor(NamedTuple):
    """One tensor's entry: `start` and `end` count bytes from the end of the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


class Header(NamedTuple):
    """A parsed header; `data_start` is the file offset of the first tensor's bytes."""

    tensors: tuple[Tensor, ...]
    data_start: int

    @property
    def file_bytes(self) -> int:
        """The required length of the whole file."""
        return self.data_start + max((tensor.end for tensor in self.tensors), default=0)


def header_bytes(prefix: bytes, where: str) -> int:
    """Return the header's length, from the file's first eight bytes; PackError if it is not a plausible length."""
    if len(prefix) < 8:
        raise PackError("a weight file is cut short", got=f"{len(prefix)} bytes", wanted="at least 8", where=where)
    length = int(struct.unpack("<Q", prefix[:8])[0])
    if not 2 <= length <= MAX_HEADER_BYTES:
        raise PackError("a weight file has no safetensors header", got=f"header length {length}", where=where)
    return length


def read_header(path: Path) -> Header:
    """Return the header of a weight file; PackError if the file is missing, truncated or has trailing bytes."""
    try:
        with path.open("rb") as file:
            length = header_bytes(file.read(8), str(path))
            raw = file.read(length)
    except FileNotFoundError as error:
        raise PackError("a weight file is missing", where=path) from error
    if len(raw) != length:
        raise PackError("a weight file is cut short", got=f"{len(raw)} bytes of header", wanted=length, where=path)
    header = parse_header(raw, str(path))
    if path.stat().st_size != header.file_bytes:
        got = f"{path.stat().st_size} bytes"
        raise PackError("a weight file is cut short or has a tail", got=got, wanted=header.file_bytes, where=path)
    return header


def parse_header(raw: bytes, where: str) -> Header:
    """Parse the header from its JSON bytes; PackError unless the tensors are contiguous."""
    try:
        entries = json.loads(raw)
        tensors = sorted(
            (
                Tensor(name, entry["dtype"], tuple(entry["shape"]), *entry["data_offsets"])
                for name, entry in entries.items()
                if name != "__metadata__"
            ),
            key=lambda tensor: (tensor.start, tensor.end),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PackError("a safetensors header does not parse", got=repr(error), where=where) from error
    at = 0
    for tensor in tensors:
        _check_types(tensor, where)
        if tensor.start != at or tensor.end - tensor.start != _size_bytes(tensor, where):
            raise PackError("a safetensors header does not add up", got=f"tensor {tensor.name!r}", where=where)
        at = tensor.end
    return Header(tuple(tensors), 8 + len(raw))


def _check_types(tensor: Tensor, where: str) -> None:
    """Raise PackError unless names are texts and counts are integers from 0."""
    counts = (*tensor.shape, tensor.start, tensor.end)
    if type(tensor.dtype) is not str or any(type(count) is not int or count < 0 for count in counts):
        raise PackError("a safetensors header does not parse", got=f"tensor {tensor.name!r}", where=where)


def _size_bytes(tensor: Tensor, where: str) -> int:
    if tensor.dtype not in WIDTH_BYTES:
        raise PackError("a tensor has an unknown type", got=f"{tensor.name}: {tensor.dtype}", where=where)
    size = WIDTH_BYTES[tensor.dtype]
    for length in tensor.shape:
        size *= length
    return size


def padded_header(tensors: list[tuple[str, str, tuple[int, ...]]]) -> tuple[bytes, Header]:
    """Return the first bytes of a file with `tensors` (name, dtype, shape) in order, padded to `ALIGNMENT`."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    placed = []
    at = 0
    for name, dtype, shape in tensors:
        end = at + _size_bytes(Tensor(name, dtype, shape, 0, 0), name)
        placed.append(Tensor(name, dtype, shape, at, end))
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    return struct.pack("<Q", len(text)) + text, Header(tuple(placed), 8 + len(text))
