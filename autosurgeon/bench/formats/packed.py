"""LiveCodeBench's packed tests: base64 of zlib of a pickle of JSON text, unpacked without ever running the pickle.

A pickle is a program, and a benchmark file is a stranger's. This one has to hold a single string, so the few opcodes
that a string needs are read one by one and any other is refused: nothing is imported, built or remembered.
"""

from __future__ import annotations

import base64
import zlib

MAX_UNPACKED_BYTES = 256 << 20
"""Of the pickle, and of what it is packed in."""

_TEXT = {b"\x8c": 1, b"X": 4, b"\x8d": 8}
"""Opcodes of strings, with the bytes that their length takes."""
_SKIPPED = {b"\x80": 1, b"\x95": 8, b"\x94": 0, b"q": 1, b"r": 4}
"""Protocol, frame and three opcodes of the memo, which is unused, with the bytes of their argument."""
_STOP = b"."
_MAX_OPCODES = 8


class NotPackedError(ValueError):
    """The text is not a packed list of tests; the message gives the reason."""


def unpack(packed: str, most: int = MAX_UNPACKED_BYTES) -> str:
    """The JSON text inside; NotPackedError for anything else, a bomb or an executable pickle among it."""
    if len(packed) > most:
        raise NotPackedError(f"more than {most} bytes packed")
    try:
        squeezed = base64.b64decode("".join(packed.split()), validate=True)
    except ValueError as error:
        raise NotPackedError(f"no base64: {error}") from error
    inflater = zlib.decompressobj()
    try:
        pickled = inflater.decompress(squeezed, most + 1)
    except zlib.error as error:
        raise NotPackedError(f"no zlib: {error}") from error
    if len(pickled) > most:
        raise NotPackedError(f"more than {most} bytes unpacked")
    if not inflater.eof or inflater.unused_data:
        raise NotPackedError("a zlib stream that ends early or late")
    return _string_of(pickled)


def _string_of(pickled: bytes) -> str:
    """The one string that a pickle holds."""
    found: bytes | None = None
    at = 0
    for _ in range(_MAX_OPCODES):
        opcode, at = pickled[at : at + 1], at + 1
        if opcode == _STOP and found is not None and at == len(pickled):
            try:
                return found.decode("utf-8")
            except UnicodeDecodeError as error:
                raise NotPackedError(f"no UTF-8: {error}") from error
        if opcode in _TEXT and found is None:
            start = at + _TEXT[opcode]
            at = start + int.from_bytes(pickled[at:start], "little")
            found = pickled[start:at]
        elif opcode in _SKIPPED:
            at += _SKIPPED[opcode]
        else:
            break
    raise NotPackedError(f"a pickle of anything else than one string, at byte {at - 1}")
