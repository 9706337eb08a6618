"""Values as Python literals: text that `ast.literal_eval` reads back as the same value, of the same type."""

from __future__ import annotations

import cmath
import math

MAX_DEPTH = 60
"""Python's own parser gives up a little above ninety brackets, and what crosses to a jail at sixty-four."""


class NoLiteralError(ValueError):
    """A value that no literal spells; the message names it."""


def literal(value: object, depth: int = 0) -> str:
    """The literal of plain data; NoLiteralError for NaN, for anything else than plain data, and for what is too deep.

    Infinity is `1e999`. Members of sets stand in the order of their spelling, so that equal values have equal literals.
    """
    if depth > MAX_DEPTH:
        raise NoLiteralError(f"a value nested more than {MAX_DEPTH} deep")
    kind = type(value)
    if value is None or kind is bool or kind is int or kind is str or kind is bytes:
        try:
            return repr(value)
        except ValueError as error:  # more digits than Python prints
            raise NoLiteralError("an integer too long to print") from error
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, complex):
        if cmath.isnan(value):
            raise NoLiteralError("NaN")
        sign = "-" if math.copysign(1, value.imag) < 0 else "+"
        return f"({_number(value.real)}{sign}{_number(abs(value.imag))}j)"
    if isinstance(value, dict):
        pairs = (f"{literal(key, depth + 1)}: {literal(item, depth + 1)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple | set):
        return _collection(value, [literal(item, depth + 1) for item in value])
    raise NoLiteralError(f"a value of type {kind.__name__}")


def _collection(value: list[object] | tuple[object, ...] | set[object], items: list[str]) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(items) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(items) + ("," if len(items) == 1 else "") + ")"
    return "{" + ", ".join(sorted(items)) + "}" if items else "set()"


def _number(value: float) -> str:
    if math.isnan(value):
        raise NoLiteralError("NaN")
    if math.isinf(value):
        return "1e999" if value > 0 else "-1e999"
    return repr(value)
