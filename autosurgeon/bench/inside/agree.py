"""Compare answers with the wanted ones. Both are plain data, so no comparison runs a candidate's code."""

import decimal
import re

RELATIVE = 1e-7
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,9})?", re.ASCII)
FLOAT_ATOL = 1e-6
"""The tolerance between floats of a bench that names none but compares by `==`, as EvalPlus has it."""


def same(wanted, got):
    """Equal in value and in type, all the way down: 1 is neither True nor 1.0, a list is no tuple, NaN is NaN."""
    if type(wanted) is not type(got):
        return False
    if isinstance(wanted, (list, tuple)):
        return len(wanted) == len(got) and all(map(same, wanted, got))
    if isinstance(wanted, dict):
        typed = {_typed(key): value for key, value in got.items()}
        return len(wanted) == len(got) and all(
            _typed(key) in typed and same(value, typed[_typed(key)]) for key, value in wanted.items()
        )
    if isinstance(wanted, (set, frozenset)):
        return {_typed(item) for item in wanted} == {_typed(item) for item in got}
    return bool(wanted == got) or (wanted != wanted and got != got)


def _typed(value):
    """A hashable value that is equal only to that of a `same` one; for keys and members of sets."""
    if isinstance(value, tuple):
        return tuple, tuple(map(_typed, value))
    if isinstance(value, frozenset):
        return frozenset, frozenset(map(_typed, value))
    return type(value), value


def close(wanted, got, atol):
    """Equal by `==`, or of one type and shape with every number within `atol + RELATIVE * |wanted|`."""
    if got == wanted:
        return True
    if atol == 0:
        if not _floats(wanted):
            return False
        atol = FLOAT_ATOL
    return type(wanted) is type(got) and _near(wanted, got, atol)


def _floats(wanted):
    items = wanted if isinstance(wanted, (list, tuple)) else [wanted]
    return bool(items) and all(type(item) is float for item in items)


def _near(wanted, got, atol):
    if isinstance(wanted, (list, tuple)):
        return (
            isinstance(got, (list, tuple))
            and len(wanted) == len(got)
            and all(_near(one, other, atol) for one, other in zip(wanted, got))
        )
    if not all(isinstance(value, (int, float, complex)) for value in (wanted, got)):
        return bool(got == wanted)
    try:
        bound = atol + RELATIVE * abs(wanted)
        # An infinite bound would let everything in.
        return bool(got == wanted) or (bound < float("inf") and abs(got - wanted) <= bound)
    except OverflowError:
        return False


def text(wanted, got):
    """Printed answers: line by line without blanks at the ends, each line equal, or equal as decimals word by word."""
    ours, theirs = ([line.strip() for line in printed.strip().split("\n")] for printed in (wanted, got))
    return len(ours) == len(theirs) and all(map(_line, ours, theirs))


def _line(wanted, got):
    if wanted == got:
        return True
    words, others = wanted.split(), got.split()
    return len(words) == len(others) and all(map(_word, words, others))


def _word(wanted, got):
    if not (_NUMBER.fullmatch(wanted) and _NUMBER.fullmatch(got)):
        return wanted == got
    return decimal.Decimal(wanted) == decimal.Decimal(got)
