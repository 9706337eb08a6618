# about: annotations as text in a data class, a named tuple and an enumeration, in a program
# task: add_lines
# expect: pass
from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple


class Kind(enum.Enum):
    SUM = "sum"


class Pair(NamedTuple):
    total: int
    most: int


@dataclass(order=True)
class Numbers:
    kind: ClassVar[Kind] = Kind.SUM
    items: list[int] = field(default_factory=list)

    def pair(self) -> Pair:
        return Pair(sum(self.items), max(self.items))


print(*Numbers([int(input()) for _ in range(int(input()))]).pair(), sep="\n")
