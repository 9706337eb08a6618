"""Types that JSON has not: what MBPP+ writes as lists and strings, given back as its functions take them.

The published file holds plain JSON; which task takes tuples, sets or complex numbers, and where, is known by number.
The numbers were taken from EvalPlus 0.3.1, `evalplus/data/mbpp.py` (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Shape = Callable[[Any], Any]


def restored(task_id: str, given: list[Any]) -> list[Any]:
    """The arguments in their own types; TypeError, ValueError or the like where they are none of these."""
    shapes = _SHAPES.get(int(task_id.removeprefix("Mbpp/")))
    if shapes is None:
        return given
    if len(shapes) == 1:
        return [shapes[0](argument) for argument in given]
    if len(given) < len(shapes):
        raise ValueError(f"{len(given)} arguments, at least {len(shapes)} wanted")
    return [shape(argument) for shape, argument in zip(shapes, given, strict=False)] + given[len(shapes) :]


def _same(value: Any) -> Any:
    return value


def _tuples(value: Any) -> list[Any]:
    return [tuple(item) for item in value]


def _tuple_of_tuples(value: Any) -> tuple[Any, ...]:
    return tuple(tuple(item) for item in value)


def _tuple_with_tuples(value: Any) -> tuple[Any, ...]:
    return tuple(tuple(item) if isinstance(item, list) else item for item in value)


def _all_tuples(value: Any) -> Any:
    return tuple(_all_tuples(item) for item in value) if isinstance(value, list) else value


def _sets(value: Any) -> list[Any]:
    # The empty one is a dictionary, as in the original assertions of 115.
    return [set(item) if isinstance(item, list) and item else {} for item in value]


def _dict_of_tuples(value: Any) -> dict[str, Any]:
    return {key: tuple(item) for key, item in value.items()}


def _shapes() -> dict[int, tuple[Shape, ...]]:
    """By number: one shape for every argument, or shapes for the first ones, the rest being as they are."""
    groups: list[tuple[tuple[Shape, ...], str]] = [
        ((tuple,), "2 116 132 143 222 261 273 394 399 421 424 429 470 560 579 596 616 630 726 740 744 809"),
        ((_tuples,), "63 64 70 94 120 237 272 299 400 409 417 438 473 614 780"),
        ((_tuples, _same), "75 413 444 753"),
        ((_same, tuple), "106 750"),
        ((_sets,), "115"),
        ((float, complex), "124"),
        ((tuple, _same), "250 307 405 446 617 720 763 808"),
        ((complex,), "252"),
        ((_tuple_of_tuples,), "259 401 445"),
        ((_tuple_with_tuples,), "278"),
        ((_all_tuples,), "580 615 791"),
        ((_dict_of_tuples, _same), "722"),
    ]
    return {int(number): shapes for shapes, numbers in groups for number in numbers.split()}


_SHAPES = _shapes()
