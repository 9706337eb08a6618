"""The possible values of a fact, derived from its unit and name, and for `recipe.*` from the recipe's fields."""

from __future__ import annotations

import math
import sys
from enum import Enum
from functools import lru_cache
from typing import NamedTuple, get_args

from autosurgeon.core.decision import Evidence, FactValue, Phase, Scalar
from autosurgeon.core.recipe import Recipe
from autosurgeon.policy.facts import FACTS, Fact, FactType, fact_of, known_at

MOST = sys.float_info.max
MOST_COUNTED = 2**53
"""The largest count that a double holds exactly."""
COUNTS = frozenset(
    {"rows", "tasks", "answers", "steps", "benches", "passes", "pairs", "runs", "bytes"}
    | {"checks", "tensors", "tokens", "versions", "rungs"}
)
NOT_BELOW_ZERO = frozenset(
    {"epochs", "ratio", "hours", "GiB", "seconds", "nats per token", "e-value", "parameters per row", "1"}
)
SHARES = frozenset({"probability", "share"})
SIGNED = frozenset({"net", "delta", "margin", "rise"})
"""Words of a name whose number may be negative, whatever its unit."""
BETTER_NONE = frozenset(
    {
        "lost",
        "missing",
        "fallbacks",
        "foreign",
        "leaking",
        "passed",
        "shared",
        "mastered",
        "held",
        "near",
        "failed",
        "flips",
    }
)
"""Words in the names of counts that are best at zero."""


class Domain(NamedTuple):
    """The values of a fact: a closed interval of numbers, or a list of texts or truths."""

    low: float = -MOST
    high: float = MOST
    whole: bool = False
    values: tuple[Scalar, ...] | None = None

    def has(self, value: FactValue) -> bool:
        """Whether a value of the fact's type is possible; a list always is."""
        if self.values is not None:
            return value in self.values
        if isinstance(value, bool) or not isinstance(value, int | float):
            return True
        return self.low <= value <= self.high and not (self.whole and value != math.floor(value))

    @property
    def of_numbers(self) -> str:
        """The interval in words."""
        kind = "a whole number" if self.whole else "a finite number"
        low = "" if self.low <= -MOST_COUNTED else f" from {self.low:g}"
        return f"{kind}{low}{'' if self.high >= MOST_COUNTED else f' to {self.high:g}'}"


def known_fact(name: str) -> Fact:
    """The fact of a name in a valid policy."""
    fact = fact_of(name)
    assert fact is not None  # loading refuses a policy that names another
    return fact


def is_of_type(value: FactValue, wanted: FactType) -> bool:
    """Whether a value has a fact's type; a truth is no number."""
    if wanted == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, {"truth": bool, "text": str, "list": tuple}[wanted])


def is_possible(name: str, value: FactValue) -> bool:
    """Whether a fact can have the value. Any fact can be missing, and an unknown name can have any value."""
    fact = fact_of(name)
    return value is None or fact is None or (is_of_type(value, fact.type) and domain_of(name).has(value))


def possible_values(name: str) -> str:
    """The possible values of a fact, in words."""
    fact, domain = known_fact(name), domain_of(name)
    if domain.values is not None:
        return "true or false" if fact.type == "truth" else f"one of {', '.join(map(str, domain.values))}"
    return {"number": domain.of_numbers, "text": "a text", "list": "a list of texts"}[fact.type]


@lru_cache(maxsize=4096)
def domain_of(name: str) -> Domain:
    """The possible values of a fact that is not missing."""
    fact = known_fact(name)
    group, _, field = name.partition(".")
    if group == "recipe" and field in Recipe.model_fields:
        return _of_recipe(field)
    if fact.type == "truth":
        return Domain(values=(True, False))
    if fact.type != "number":
        return Domain()
    counted = fact.unit in COUNTS
    if SIGNED & _words(name):
        return Domain(-MOST_COUNTED, MOST_COUNTED, True) if counted else Domain()
    if counted:
        return Domain(0, MOST_COUNTED, True)
    if fact.unit in SHARES:
        return Domain(0.0, 1.0)
    return Domain(low=0.0) if fact.unit in NOT_BELOW_ZERO else Domain()


def _words(name: str) -> frozenset[str]:
    return frozenset(name.rpartition(".")[2].split("_"))


def _of_recipe(field: str) -> Domain:
    """The values that the recipe's field allows: its enumeration, or its limits, an open end moved in by one double."""
    info = Recipe.model_fields[field]
    kind = info.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return Domain(values=tuple(member.value for member in kind))
    if get_args(kind):
        return Domain(values=get_args(kind))
    low, high = -MOST, MOST
    for limit in info.metadata:
        low = getattr(limit, "ge", low)
        high = getattr(limit, "le", high)
        if hasattr(limit, "gt"):
            low = math.nextafter(limit.gt, math.inf)
        if hasattr(limit, "lt"):
            high = math.nextafter(limit.lt, -math.inf)
    return Domain(low, high, kind is int)


def typical(name: str) -> FactValue:
    """The value of the fact in a healthy pass."""
    fact, domain = known_fact(name), domain_of(name)
    group, _, field = name.partition(".")
    if fact.type == "list":
        return ()
    if group == "recipe" and field in Recipe.model_fields:
        default = Recipe.model_fields[field].get_default()
        if isinstance(default, Enum):
            return str(default.value)
        return default if isinstance(default, int | float | str) else 1e-4
    if fact.type != "number":
        return domain.values[0] if domain.values else "a"
    if domain.whole:
        return 0 if BETTER_NONE & _words(name) else 3 if domain.low < 0 or "gained" in _words(name) else 10
    return 1.0


def typical_evidence(phase: Phase) -> Evidence:
    """Every fact of the phase, at its typical value."""
    return {fact.name: typical(fact.name) for fact in FACTS if known_at(fact, phase)}
