"""The protocol between tests and candidate: frames of JSON that hold plain data with its exact type.

JSON's own null, booleans, strings, 64-bit integers, finite floats and arrays stand for themselves; any other type is an
object with one key, the type's name. A subclass is not plain data, so no overridden `__eq__` reaches the tests.
"""

import collections
import decimal
import fractions
import itertools
import json
import struct
import sys
import types

MAX_DEPTH = 64
MAX_DRAWN = 100_000
"""Items taken from an iterator."""
MAX_FRAME_BYTES = 256 << 20
_WORD = 1 << 63
_HEAD = struct.Struct(">I")
_READ_BYTES = 1 << 16
ENDING = struct.Struct("=id4s")
"""How a candidate's process ended: its exit code, its CPU seconds, and why it was killed, if it was."""


class NotPlainError(ValueError):
    """A value that is not plain data."""


class Record:
    """The attributes of an object of the tests' own class; the candidate receives them without the class."""

    def __init__(self, attributes):
        self.attributes = attributes


class BrokenError(Exception):
    """The other side ended or violates the protocol."""


def _drawn(iterator):
    items = []
    for item in iterator:
        if len(items) >= MAX_DRAWN:
            raise NotPlainError("an iterator without end")
        items.append(item)
    return items


def _pairs(value, depth):
    return [[encode(key, depth), encode(item, depth)] for key, item in value.items()]


def _items(value, depth):
    return [encode(item, depth) for item in value]


_ITERATORS = (
    type(item for item in ()),
    map,
    filter,
    zip,
    enumerate,
    reversed,
    *map(type, (iter([]), iter(()), iter({}), iter(set()), iter(""), iter(range(0)), reversed([]))),
    *map(type, (iter({}.values()), iter({}.items()))),
    *(kind for kind in vars(itertools).values() if isinstance(kind, type)),
)
_WRITERS = {
    tuple: ("tuple", _items),
    set: ("set", _items),
    frozenset: ("frozenset", _items),
    dict: ("dict", _pairs),
    bytes: ("bytes", lambda value, depth: value.hex()),
    bytearray: ("bytearray", lambda value, depth: value.hex()),
    complex: ("complex", lambda value, depth: [encode(value.real), encode(value.imag)]),
    range: ("range", lambda value, depth: [encode(value.start), encode(value.stop), encode(value.step)]),
    fractions.Fraction: ("Fraction", lambda value, depth: [encode(value.numerator), encode(value.denominator)]),
    decimal.Decimal: ("Decimal", lambda value, depth: str(value)),
    collections.Counter: ("Counter", _pairs),
    collections.OrderedDict: ("OrderedDict", _pairs),
    collections.defaultdict: ("defaultdict", _pairs),
    collections.deque: ("deque", _items),
    Record: ("record", lambda value, depth: {name: encode(item, depth) for name, item in value.attributes.items()}),
    type({}.keys()): ("keys", _items),
    type({}.values()): ("values", _items),
    type({}.items()): ("items", _items),
    **{kind: ("iterator", lambda value, depth: _items(_drawn(value), depth)) for kind in _ITERATORS},
}
_TYPES = {kind.__name__: kind for kind in (int, float, str, bytes, bool, list, tuple, dict, set, frozenset, complex)}
_NATIVE = frozenset({type(None), bool, str})


def encode(value, depth=0):
    """JSON for plain data; NotPlainError for anything else."""
    kind = type(value)
    if kind in _NATIVE:
        return value
    if kind is int:
        return value if -_WORD < value < _WORD else {"int": hex(value)}
    if kind is float:
        # Neither NaN nor the infinities are JSON; repr of any other float is exact.
        return value if value - value == 0.0 else {"float": repr(value)}
    if depth > MAX_DEPTH:
        raise NotPlainError("too deep")
    if kind is list:
        return [encode(item, depth + 1) for item in value]
    writer = _WRITERS.get(kind)
    if kind is type and _TYPES.get(value.__name__) is value:
        return {"type": value.__name__}
    if writer is None and "numpy" in sys.modules:
        return _numeric(sys.modules["numpy"], value, depth)
    if writer is None:
        # type.__name__ itself, since a metaclass may lie about the name.
        raise NotPlainError("a value of type " + str(type.__dict__["__name__"].__get__(kind)))
    return {writer[0]: writer[1](value, depth + 1)}


def _numeric(numpy, value, depth):
    """JSON for an array of numbers, and for a number of NumPy's as Python's own; NotPlainError for anything else."""
    kind = type(value)
    if kind is numpy.ndarray and value.dtype.kind in "biufc":
        shape = list(value.shape)
        return {"ndarray": [str(value.dtype), shape, encode(value.ravel().tolist(), depth + 1)]}
    if kind.__module__ == "numpy" and isinstance(value, (numpy.number, numpy.bool_)) and value.dtype.char not in "gG":
        return encode(value.item(), depth)
    raise NotPlainError("a value of type " + str(type.__dict__["__name__"].__get__(kind)))


def _array(depth, dtype, shape, items):
    """An array that a stranger wrote: plain numbers, as many as its shape has room for."""
    import numpy

    numbers = decode(items, depth)
    if type(numbers) is not list or not {*map(type, numbers)} <= {bool, int, float, complex}:
        raise NotPlainError("malformed")
    kind = numpy.dtype(dtype)
    if kind.kind not in "biufc":
        raise NotPlainError("malformed")
    return numpy.array(numbers, kind).reshape(shape)


def refuse_records():
    """Refuse records from now on, since only tests send them."""
    del _READERS["record"]


def _read_pairs(body, depth):
    return {decode(key, depth): decode(item, depth) for key, item in body}


def _fraction(numerator, denominator):
    if type(numerator) is not int or type(denominator) is not int:
        raise NotPlainError("malformed")
    return fractions.Fraction(numerator, denominator)


def _range(start, stop, step):
    """Return a range short enough to iterate over."""
    if abs(stop - start) // abs(step) > MAX_DRAWN:
        raise NotPlainError("a range too long")
    return range(start, stop, step)


def _read_items(body, depth):
    if type(body) is not list:
        raise NotPlainError("malformed")
    return [decode(item, depth) for item in body]


_READERS = {
    "int": lambda body, depth: int(body, 16),
    "float": lambda body, depth: {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}[body],
    "tuple": lambda body, depth: tuple(_read_items(body, depth)),
    "set": lambda body, depth: set(_read_items(body, depth)),
    "frozenset": lambda body, depth: frozenset(_read_items(body, depth)),
    "dict": _read_pairs,
    "bytes": lambda body, depth: bytes.fromhex(body),
    "bytearray": lambda body, depth: bytearray.fromhex(body),
    "complex": lambda body, depth: complex(float(decode(body[0])), float(decode(body[1]))),
    "range": lambda body, depth: _range(*_read_items(body, depth)),
    "Fraction": lambda body, depth: _fraction(*_read_items(body, depth)),
    "Decimal": lambda body, depth: decimal.Decimal(body),
    "Counter": lambda body, depth: collections.Counter(_read_pairs(body, depth)),
    "OrderedDict": lambda body, depth: collections.OrderedDict(_read_pairs(body, depth)),
    "defaultdict": lambda body, depth: collections.defaultdict(None, _read_pairs(body, depth)),
    "deque": lambda body, depth: collections.deque(_read_items(body, depth)),
    "type": lambda body, depth: _TYPES[body],
    "record": lambda body, depth: types.SimpleNamespace(**{name: decode(item, depth) for name, item in body.items()}),
    "keys": lambda body, depth: dict.fromkeys(_read_items(body, depth)).keys(),
    "values": lambda body, depth: dict(enumerate(_read_items(body, depth))).values(),
    "items": lambda body, depth: dict(_read_items(body, depth)).items(),
    "ndarray": lambda body, depth: _array(depth, *body),
    "iterator": lambda body, depth: iter(_read_items(body, depth)),
}


def decode(body, depth=0):
    """Decode untrusted JSON to plain data; NotPlainError for anything that `encode` does not produce."""
    kind = type(body)
    if kind in _NATIVE or kind is int or kind is float:
        return body
    if depth > MAX_DEPTH:
        raise NotPlainError("too deep")
    if kind is list:
        return [decode(item, depth + 1) for item in body]
    if kind is dict and len(body) == 1:
        [(name, inner)] = body.items()
        reader = _READERS.get(name)
        if reader is not None:
            try:
                return reader(inner, depth + 1)
            except NotPlainError:
                raise
            except Exception as error:
                raise NotPlainError("malformed " + name) from error
    raise NotPlainError("malformed")


def _writer():
    """JSON's own encoder, made once; `json.dumps` makes one for every call, which takes longer than to use it.

    What it writes is ASCII, in pieces that are yet to be joined.
    """
    make = json.encoder.c_make_encoder
    if make is None:
        return json.JSONEncoder(separators=(",", ":")).iterencode
    write = make(None, None, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, True)
    return lambda message: write(message, 0)


_written = _writer()
_read = json.JSONDecoder().raw_decode


def _frame(message, most=MAX_FRAME_BYTES):
    """A message as it crosses: its length in four bytes, then JSON."""
    pieces = tuple(_written(message))
    size = sum(map(len, pieces))
    if size > most:
        raise OverflowError(str(size) + " bytes")
    return _HEAD.pack(size) + "".join(pieces).encode()


def send(channel, message, most=MAX_FRAME_BYTES):
    """One frame; OverflowError, with nothing sent, when it is too large."""
    frame = _frame(message, most)
    try:
        channel.sendall(frame)
    except OSError as error:
        raise BrokenError(str(error)) from error


def receive(channel, most=MAX_FRAME_BYTES):
    """The next frame's object; BrokenError at the end, NotPlainError for what is no frame, or more than one."""
    received = _more(channel, b"", _HEAD.size)
    size = _HEAD.unpack_from(received)[0]
    if size > most:
        raise OverflowError("said more than " + str(most) + " bytes at once")
    received = _more(channel, received, _HEAD.size + size)
    try:
        text = received[_HEAD.size :].decode()
        message, end = _read(text)
    except (ValueError, RecursionError) as error:
        raise NotPlainError("no JSON") from error
    if len(received) != _HEAD.size + size or end != len(text):
        raise NotPlainError("more than a frame")
    return message


def _more(channel, received, size):
    """Receive until `received` has at least `size` bytes; most frames need one system call."""
    if len(received) >= size:
        return received
    parts, left = [received], size - len(received)
    try:
        while left > 0:
            parts.append(channel.recv(max(_READ_BYTES, min(left, 1 << 20))))
            if not parts[-1]:
                raise BrokenError("the other side ended")
            left -= len(parts[-1])
    except OSError as error:
        raise BrokenError(str(error)) from error
    return b"".join(parts)
