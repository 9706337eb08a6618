"""The policy language: the content of a policy file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from autosurgeon.core.decision import Phase, Scalar, Severity
from autosurgeon.core.digest import digest_json
from autosurgeon.core.value import Value
from autosurgeon.errors import nearest
from autosurgeon.policy.expression import PARAMS, ExpressionError, check_clauses
from autosurgeon.policy.facts import BY_NAME, fact_of, known_at

SCHEMA = "autosurgeon.policy/1"
TOP_KEYS = ("schema", "name", "description", "include", "params", "rules")
BOUNDS = ("at_most", "at_least", "equals", "one_of", "subset_of")
STOPS = {
    "training.loss": "at_least",
    "training.loss_fraction": "at_least",
    "training.kl": "at_most",
    "training.kl_anchors": "at_most",
    "training.anchor_loss_rise": "at_most",
}
"""The facts that training checks while it runs, and the bound at which it ends."""
Number = StrictInt | StrictFloat


def _is_finite(value: Scalar | None) -> bool:
    """Whether it is no number, or a finite one that a double can hold."""
    return not isinstance(value, int | float) or abs(value) <= sys.float_info.max


class Bounded(Value):
    """A fact and exactly one bound."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    fact: str
    """One documented fact, known at the rule's phase."""
    at_most: Number | None = None
    """The number is not above it."""
    at_least: Number | None = None
    """The number is not below it."""
    equals: Scalar | None = None
    """The value is the same."""
    one_of: tuple[Scalar, ...] | None = None
    """The value is in the list."""
    subset_of: tuple[str, ...] | None = None
    """Every item of a list fact is in the list."""

    @model_validator(mode="after")
    def _one_bound_on_a_known_fact(self) -> Bounded:
        if getattr(self, "expr", None) is not None:
            return self  # the check of the rule refuses a bound beside an expression
        given = [name for name in BOUNDS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a rule has exactly one bound; got {given or 'none'}; wanted one of {', '.join(BOUNDS)}")
        if not all(map(_is_finite, (self.at_most, self.at_least, self.equals, *(self.one_of or ())))):
            raise ValueError(f"{given[0]} needs finite numbers")
        fact = fact_of(self.fact)
        if fact is None:
            raise ValueError(f"unknown fact {self.fact!r}; {nearest(self.fact, BY_NAME)}")
        if given[0] in ("at_most", "at_least") and fact.type != "number":
            raise ValueError(f"{given[0]} needs a number; {self.fact} is {fact.type}")
        if (given[0] == "subset_of") != (fact.type == "list"):
            raise ValueError(f"{self.fact} is {fact.type}; `subset_of` is for lists, and lists for it")
        return self

    @cached_property
    def bound(self) -> str:
        """The bound in words."""
        name = next(name for name in BOUNDS if getattr(self, name) is not None)
        value = getattr(self, name)
        return f"{name} {list(value) if isinstance(value, tuple) else value}"

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, without what was derived from the old fields."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("bound", None)
        return copied


class When(Bounded):
    """The rule speaks only where this holds."""


class Rule(Bounded):
    """One rule: a fact and its bound, or an expression; what follows when it does not hold, and why."""

    fact: str = ""
    """One documented fact, known at the rule's phase; left out where the rule has an expression."""
    expr: str | None = None
    """CEL over facts and `params.name`, instead of a fact and a bound."""
    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    """The name of the rule in every decision."""
    phase: Phase
    """The phase at which the rule applies."""
    otherwise: Literal["reject", "hold", "stop", "revert", "warn"]
    """The remedy when the rule does not hold."""
    mode: Literal["enforce", "audit"] = "enforce"
    """Binding, or only measured and logged."""
    severity: Severity = "major"
    """Shown and recorded; it does not affect the verdict."""
    when: When | None = None
    """The rule speaks only where this holds."""
    lesson: str = Field(min_length=1)
    """Why the rule exists, in words."""

    @model_validator(mode="after")
    def _the_phase_knows_the_fact(self) -> Rule:
        if self.expr is not None and (self.fact or any(getattr(self, name) is not None for name in BOUNDS)):
            raise ValueError("a rule has a fact and a bound, or `expr`; got both")
        for bounded in (self if self.expr is None else None, self.when):
            fact = fact_of(bounded.fact) if bounded is not None else None
            if bounded is not None and fact is not None and not known_at(fact, self.phase):
                raise ValueError(f"{bounded.fact} is not known at phase {self.phase!r}")
        if (self.otherwise == "revert") != (self.phase == "watch") and self.otherwise != "warn":
            raise ValueError("`revert` belongs to phase 'watch', and 'watch' has no other remedy but `warn`")
        if self.otherwise == "stop" and (self.fact not in STOPS or getattr(self, STOPS[self.fact]) is None):
            wanted = ", or ".join(f"`{bound}` on {fact}" for fact, bound in STOPS.items())
            raise ValueError(f"`stop` needs {wanted}")
        known = fact_of(self.when.fact) if self.when and self.otherwise == "stop" else None
        if known is not None and not known_at(known, "proposal"):
            raise ValueError("the `when` of a `stop` turns on what is known before the training")
        return self


LATER_KEYS: dict[str, object] = {"expr": None, "severity": "major"}
"""Keys that are newer than the language's first form; at these defaults they do not change a policy's digest."""


def _leave_out(content: dict[str, object], unchanged: dict[str, object]) -> None:
    for key, usual in unchanged.items():
        if content.get(key) == usual:
            del content[key]


def _type_of(value: Scalar) -> str:
    return "truth" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"


class Param(Value):
    """A number, truth or text that bounds and expressions name and that a caller may set."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    default: StrictBool | StrictInt | StrictFloat | StrictStr
    """The default value; its type is the type of the parameter."""
    description: str = ""
    """The meaning of the parameter, for people."""

    @model_validator(mode="after")
    def _finite(self) -> Param:
        if not _is_finite(self.default):
            raise ValueError("default: a parameter needs a finite number")
        return self


class Policy(Value):
    """A named list of rules with its parameters in force; its digest identifies it in every decision."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    schema_: Literal["autosurgeon.policy/1"] = Field(alias="schema")
    """The version of the language."""
    name: str
    """The name of the policy in every decision."""
    description: str = ""
    """The purpose of the policy, for people."""
    params: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], Param] = Field(default_factory=dict)
    """Named values for bounds and expressions."""
    rules: tuple[Rule, ...]
    """The rules; every rule of a phase is evaluated, and the worst one decides."""

    @model_validator(mode="after")
    def _expressions_name_what_is_known(self) -> Policy:
        own = {f"{PARAMS}{name}": _type_of(value) for name, value in self.param_values.items()}
        for index, rule in enumerate(self.rules):
            if rule.expr is not None:
                types = own | {fact.name: fact.type for fact in BY_NAME.values() if known_at(fact, rule.phase)}
                try:
                    check_clauses(rule.expr, types, BY_NAME)
                except ExpressionError as error:
                    # The index of the rule lets the loader report the line.
                    raise PydanticCustomError(
                        "expr", "expr: {problem}", {"problem": str(error), "rule": index}
                    ) from error
        return self

    @cached_property
    def param_values(self) -> dict[str, Scalar]:
        """The parameters in force, by name."""
        return {name: param.default for name, param in self.params.items()}

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, without what was derived from the old fields."""
        copied = super().model_copy(update=update, deep=deep)
        for derived in ("digest", "param_values"):
            copied.__dict__.pop(derived, None)
        return copied

    def rules_of(self, phase: Phase) -> tuple[Rule, ...]:
        """The rules of a phase, in their order."""
        return tuple(rule for rule in self.rules if rule.phase == phase)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the policy's content; layout and comments do not change it."""
        content = self.model_dump(mode="json", by_alias=True)
        _leave_out(content, {"params": {}})
        for rule in content["rules"]:
            _leave_out(rule, LATER_KEYS)
        return digest_json(content)

    def in_audit(self, *, watch: bool) -> Policy:
        """The same rules, measured and logged but not binding; those of the watch stay binding unless `watch`."""
        rules = tuple(
            rule if rule.phase == "watch" and not watch else rule.model_copy(update={"mode": "audit"})
            for rule in self.rules
        )
        return self.model_copy(update={"name": f"{self.name} (audit)", "rules": rules})
