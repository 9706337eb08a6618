# about: annotations as text in a data class and type hints that are looked up
# task: sum_of_squares
# expect: pass
from __future__ import annotations

import copy
import typing
from dataclasses import dataclass, field


@dataclass
class Total:
    value: int = 0
    parts: typing.List[int] = field(default_factory=list)


def sum_of_squares(numbers: list[int]) -> int:
    typing.get_type_hints(sum_of_squares)
    total = copy.deepcopy(Total())
    for n in numbers:
        total.parts.append(n * n)
        total.value += n * n
    return total.value
