"""Expressions of rules: CEL over facts; a small scanner finds the names and clauses.

Every number is a double, so that a rule gives the same result for a fact of 1 and of 1.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from autosurgeon.core.decision import Scalar
from autosurgeon.errors import EvaluatorError, nearest

MOST_CHARACTERS = 1000
MOST_DEPTH = 20
MOST_REMEMBERED = 1024
"""The number of parsed and compiled expressions that are cached; a campaign judges by the same few."""
PARAMS = "params."
MACROS = frozenset({"all", "exists", "exists_one", "filter", "map"})
FUNCTIONS = MACROS | {"size", "int", "double", "string", "contains", "startsWith", "endsWith", "matches"}
"""The functions that may be called. None reads a clock, so the same evidence always gives the same judgement."""
KEYWORDS = frozenset({"in", "true", "false"})
TOKEN = re.compile(
    r"""(?P<blank>\s+)
    | (?P<text>"(?:[^"\\\r\n]|\\[^\r\n])*" | '(?:[^'\\\r\n]|\\[^\r\n])*')
    | (?P<float>\d+\.\d+(?:[eE][+-]?\d+)? | \d+[eE][+-]?\d+)
    | (?P<whole>\d+)
    | (?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
    | (?P<sign>&& | \|\| | [<>=!]= | [-+*/%<>!?:,.()\[\]])""",
    re.VERBOSE | re.ASCII,
)


class ExpressionError(ValueError):
    """An invalid expression."""


class Token(NamedTuple):
    """A piece of the source: its kind, its characters, and their offset."""

    kind: str
    text: str
    at: int


class Clause(NamedTuple):
    """An independent part of an expression: its source, and the facts and parameters that it names."""

    source: str
    names: tuple[str, ...]


class Outcome(NamedTuple):
    """The result of a clause; None where these values give no answer, with type and reason in `error`."""

    holds: bool | None
    error: str | None = None


def scan(source: str) -> list[Token]:
    """The tokens, without blanks; ExpressionError for an invalid character, or for too much length or nesting."""
    if len(source) > MOST_CHARACTERS:
        raise ExpressionError(f"an expression has at most {MOST_CHARACTERS} characters; got {len(source)}")
    tokens: list[Token] = []
    open_signs: list[str] = []
    at = 0
    while at < len(source):
        match = TOKEN.match(source, at)
        if match is None:
            raise ExpressionError(f"{source[at : at + 12]!r} has no place in an expression")
        token = Token(str(match.lastgroup), match.group(), at)
        _refuse_neighbours(token, tokens[-1] if tokens and tokens[-1].at + len(tokens[-1].text) == at else None)
        _nest(token, open_signs)
        at = match.end()
        if token.kind != "blank":
            tokens.append(token)
    if open_signs:
        raise ExpressionError(f"{open_signs[-1]!r} is never closed")
    return tokens


def _refuse_neighbours(token: Token, before: Token | None) -> None:
    """Refuse what CEL reads differently from this scanner: comments, r"…", triple quotes."""
    if before is None:
        return
    if token.text == before.text == "/":
        raise ExpressionError("an expression has no comments")
    if token.kind == "text" and before.kind != "sign":
        raise ExpressionError(f"a text has one pair of quotes and no prefix; got {before.text + token.text!r}")


def _nest(token: Token, open_signs: list[str]) -> None:
    if token.kind != "sign":
        return
    if token.text in "([":
        open_signs.append(token.text)
        if len(open_signs) > MOST_DEPTH:
            raise ExpressionError(f"an expression is nested at most {MOST_DEPTH} deep")
    elif token.text in ")]" and (not open_signs or open_signs.pop() + token.text not in ("()", "[]")):
        raise ExpressionError(f"{token.text!r} closes nothing")


def split_clauses(source: str) -> tuple[str, ...]:
    """The parts that `&&` joins at the top level; one part where `||` or `?` is at the top level too.

    Both bind weaker than `&&`, so the expression is not the conjunction of such parts.
    """
    cuts, depth = [0], 0
    for token in scan(source):
        if token.kind != "sign":
            continue
        depth += (token.text in "([") - (token.text in ")]")
        if depth == 0 and token.text in ("||", "?"):
            return (source.strip(),)
        if depth == 0 and token.text == "&&":
            cuts += [token.at, token.at + 2]
    cuts.append(len(source))
    return tuple(source[a:b].strip() for a, b in zip(cuts[::2], cuts[1::2], strict=True))


def names_in(source: str) -> tuple[str, ...]:
    """The dotted names that a clause reads, each once, without functions and the variables of macros."""
    tokens = scan(source)
    names: dict[str, None] = {}
    bound: tuple[str, int] | None = None  # the variable of the macro around, and the depth at which it ends
    depth = 0
    for index, token in enumerate(tokens):
        before, after = (tokens[i].text if 0 <= i < len(tokens) else "" for i in (index - 1, index + 1))
        if token.kind == "sign":
            depth += (token.text in "([") - (token.text in ")]")
            if bound and depth <= bound[1]:
                bound = None
        if token.kind != "name" or token.text in KEYWORDS:
            continue
        name, called = token.text, after == "("
        if called:
            name, _, verb = token.text.rpartition(".")
            if verb not in FUNCTIONS:
                raise ExpressionError(f"unknown function {verb!r}; {nearest(verb, FUNCTIONS)}")
            if verb in MACROS:
                bound = _variable(tokens[index + 2 : index + 4], bound, depth)
        if before == "." and name:
            raise ExpressionError(f"a name stands after a dot alone; got {token.text!r}")
        if name and not (bound and name == bound[0]):
            names[name] = None
    return tuple(names)


def _variable(following: list[Token], bound: tuple[str, int] | None, depth: int) -> tuple[str, int]:
    # Nested macros over long lists would take unbounded time.
    if bound:
        raise ExpressionError("all, exists, filter and map do not stand inside each other")
    if [t.kind for t in following] != ["name", "sign"] or "." in following[0].text or following[1].text != ",":
        raise ExpressionError("all, exists, filter and map begin with a variable and a comma")
    return following[0].text, depth


@lru_cache(maxsize=MOST_REMEMBERED)
def clauses_of(source: str) -> tuple[Clause, ...]:
    """The clauses of an expression, with the names that each one reads."""
    return tuple(Clause(part, names_in(part)) for part in split_clauses(source))


def in_doubles(source: str) -> str:
    """The source with its integers as doubles, except in brackets: CEL does not mix the two types."""
    parts, at, brackets = [], 0, 0
    for token in scan(source):
        brackets += (token.text == "[") - (token.text == "]")
        if token.kind == "whole" and brackets == 0:
            parts += [source[at : token.at], f"{token.text}.0"]
            at = token.at + len(token.text)
    return "".join([*parts, source[at:]])


@lru_cache(maxsize=MOST_REMEMBERED)
def _compiled(source: str) -> Any:
    """CEL's program of a clause, cached: compiling takes five times as long as executing."""
    import cel  # imported here: it slows the start of commands that evaluate nothing

    return cel.compile(in_doubles(source))


OBJECTIONS = (ArithmeticError, LookupError, TypeError, ValueError, RuntimeError)
"""What CEL raises for values without an answer: a division by zero, an index past the end, a wrong type."""


def evaluate(source: str, values: Mapping[str, Scalar | tuple[str, ...]]) -> Outcome:
    """Evaluate a clause over values by dotted name.

    Raises:
        EvaluatorError: CEL itself failed, by its import or a panic.

    """
    try:
        answer: object = _compiled(source).execute(_nested(values))
    except OBJECTIONS as error:
        return Outcome(None, _named(error))
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # a panic of the Rust side is no Exception
        raise EvaluatorError(_named(error)) from error
    if not isinstance(answer, bool):
        return Outcome(None, f"TypeError: the answer is no truth but {type(answer).__name__}")
    return Outcome(answer)


def _named(error: BaseException) -> str:
    """The type and the first line of an error."""
    return next(iter(f"{type(error).__name__}: {error}".splitlines()))


KNOWN_VALUES: dict[str, Scalar | tuple[str, ...]] = {
    "a.n": 2,
    "a.x": 0.5,
    "a.t": "poison",
    "a.l": ("u", "v"),
    "a.b": True,
}
KNOWN_ANSWERS = {
    "a.n + 1 > 2.5 && a.b": True,
    "a.n * a.x == 1 || !a.b": True,
    "a.n - 3 >= 0": False,
    "a.t in ['union', 'poison'] && a.t.startsWith('poi')": True,
    "size(a.l) == 2 && a.l[0] != 'u'": False,
    "a.l.exists(one, one == 'v')": True,
    "a.x / a.n < 0.25": False,
}
"""Known expressions with their results."""


def check_evaluator() -> None:
    """Evaluate known clauses over known values; EvaluatorError where a result differs."""
    for source, wanted in KNOWN_ANSWERS.items():
        outcome = evaluate(source, KNOWN_VALUES)
        if outcome.holds is not wanted:
            got = outcome.error or f"{outcome.holds}, and not {wanted}"
            raise EvaluatorError(f"a known expression, {source!r}, came to {got}")


def _nested(values: Mapping[str, Scalar | tuple[str, ...]]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in values.items():
        group, _, word = name.partition(".")
        plain = value if isinstance(value, bool | str) else list(value) if isinstance(value, tuple) else float(value)
        nested.setdefault(group, {})[word] = plain
    return nested


SAMPLES: tuple[dict[str, Scalar | tuple[str, ...]], ...] = (
    {"number": 1.0, "truth": True, "text": "a", "list": ("a",)},
    {"number": 2.5, "truth": False, "text": "b", "list": ("b",)},
)


NO_CEL = ("TypeError", "RuntimeError: Undefined", "RuntimeError: Function 'matches'", "ValueError: Failed to")


def check_clauses(source: str, types: Mapping[str, str], elsewhere: Iterable[str] = ()) -> None:
    """Refuse an expression that names unknown facts, is not CEL, or is no condition.

    Args:
        source: the expression.
        types: the names that it may use, with their types: number, truth, text or list.
        elsewhere: facts that exist, but at another phase.

    Raises:
        ExpressionError: what is wrong.

    """
    for clause in clauses_of(source):
        for name in clause.names:
            if name not in types and name in elsewhere:
                raise ExpressionError(f"{name} is not known at this phase")
            if name not in types:
                kind = "parameter" if name.startswith(PARAMS) else "fact"
                raise ExpressionError(f"unknown {kind} {name!r}; {nearest(name, types)}")
        errors = [
            evaluate(clause.source, {name: sample[types[name]] for name in clause.names}).error for sample in SAMPLES
        ]
        # A sample value may give a NaN or lack an item where evidence does not; invalid CEL fails for any value.
        if all(error and error.startswith(NO_CEL) for error in errors):
            raise ExpressionError(f"{clause.source!r} is no condition: {str(errors[0]).partition(': ')[2][:200]}")
