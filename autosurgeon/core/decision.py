"""A decision: a verdict with its evidence, rule by rule, written once."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from autosurgeon.core.value import Value

Phase = Literal["proposal", "training", "smoke", "promotion", "watch"]
PHASES: tuple[Phase, ...] = ("proposal", "training", "smoke", "promotion", "watch")

Severity = Literal["info", "minor", "major", "critical"]
Scalar = bool | int | float | str
FactValue = Scalar | tuple[str, ...] | None
"""None is missing: never a pass, whatever the bound."""
Evidence = dict[str, FactValue]


class Verdict(StrEnum):
    """What a phase came to; the worst of its rules, in this order."""

    INVALID = "INVALID"
    ERROR = "ERROR"
    REJECT = "REJECT"
    INCONCLUSIVE = "INCONCLUSIVE"
    ACCEPT = "ACCEPT"


def worst(verdicts: list[Verdict]) -> Verdict:
    """The verdict that overrules the others."""
    order = list(Verdict)
    return min(verdicts, key=order.index)


class RuleResult(Value):
    """One rule at one judgement. `margin` is how far inside its bound the fact was; negative when outside."""

    rule_id: str
    result: Literal["passed", "failed", "missing", "skipped"]
    fact: str
    observed: FactValue
    bound: str
    margin: float | None
    otherwise: str
    mode: Literal["enforce", "audit"]
    lesson: str
    severity: Severity = "major"

    @property
    def seen(self) -> str:
        """What was observed, as people read it."""
        if self.result == "missing":
            return "missing"
        return f"{self.observed:.3g}" if isinstance(self.observed, float) else f"{self.observed}"


class Judgement(Value):
    """What `judge` says of one phase: a pure function of policy and evidence."""

    phase: Phase
    verdict: Verdict
    rules: tuple[RuleResult, ...]
    evidence: dict[str, FactValue]
    policy: str
    policy_digest: str
    reason: str
    params: dict[str, Scalar] = Field(default_factory=dict)
    """The policy's parameters in force, by name."""

    def broken(self, *, mode: str | None = None) -> list[RuleResult]:
        """The rules that failed or had no fact to judge; those of one mode, if named."""
        bad = [rule for rule in self.rules if rule.result in ("failed", "missing")]
        return [rule for rule in bad if mode is None or rule.mode == mode]


class Decision(Value):
    """A judgement written down: where, when, and what it did to the live pointer."""

    decision_id: str
    pass_number: int | None
    judgement: Judgement | None
    """None for what a person or a start did: the first live pack, a revert by hand."""
    action: Literal["continue", "stop", "promote", "revert", "baseline"]
    reason: str
    live_version: int | None = None
    """The version that this decision made, where it moved live."""
    pack: str | None = None
    at: str
    """UTC, ISO 8601."""

    def record(self) -> dict[str, Any]:
        """The JSON that the log holds."""
        return self.model_dump(mode="json")
