"""Plain data from the jail: decoding what the inmate says, and comparing it where the candidate cannot reach."""

from __future__ import annotations

from typing import Any

MAX_DEPTH = 40


class NotPlainError(ValueError):
    """What came out of the jail is no plain data."""


def decode(encoded: Any, depth: int = 0) -> Any:
    """The Python value of the inmate's typed JSON; NotPlainError for anything else."""
    if depth > MAX_DEPTH or not isinstance(encoded, list) or not encoded:
        raise NotPlainError("malformed")
    kind, *rest = encoded
    try:
        match kind:
            case "none":
                return None
            case "bool" | "str" if type(rest[0]).__name__ == kind:
                return rest[0]
            case "int":
                return int(rest[0], 16)
            case "float":
                return float.fromhex(rest[0])
            case "list" | "tuple" | "set" | "frozenset":
                items = [decode(item, depth + 1) for item in rest[0]]
                return {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[kind](items)
            case "dict":
                return {decode(key, depth + 1): decode(item, depth + 1) for key, item in rest[0]}
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise NotPlainError(str(error)) from error
    raise NotPlainError(f"a value of type {rest[0] if rest else kind}")


def same(wanted: Any, got: Any) -> bool:
    """Equal in value and in type, all the way down: 1 is neither True nor 1.0, a list is no tuple."""
    if type(wanted) is not type(got):
        return False
    if isinstance(wanted, list | tuple):
        return len(wanted) == len(got) and all(map(same, wanted, got))
    if isinstance(wanted, dict):
        typed = {_typed(key): value for key, value in got.items()}
        return len(wanted) == len(got) and all(
            _typed(key) in typed and same(value, typed[_typed(key)]) for key, value in wanted.items()
        )
    if isinstance(wanted, set | frozenset):
        return {_typed(item) for item in wanted} == {_typed(item) for item in got}
    return bool(wanted == got)


def _typed(value: Any) -> Any:
    """A hashable value that is equal only to that of a `same` one; for keys and members of sets."""
    if isinstance(value, tuple):
        return tuple, tuple(map(_typed, value))
    if isinstance(value, frozenset):
        return frozenset, frozenset(map(_typed, value))
    return type(value), value
