"""A decision: a verdict with its evidence, rule by rule, written once."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from autosurgeon.core.usage import Usage, known_max, known_sum
from autosurgeon.core.value import Value

Phase = Literal["baseline", "proposal", "training", "smoke", "merge", "promotion", "watch"]
PHASES: tuple[Phase, ...] = ("baseline", "proposal", "training", "smoke", "merge", "promotion", "watch")

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
    result: Literal["passed", "failed", "missing", "skipped", "error"]
    fact: str
    observed: FactValue
    bound: str
    margin: float | None
    otherwise: str
    mode: Literal["enforce", "audit"]
    lesson: str
    severity: Severity = "major"
    reason: str = ""
    """Why it came to that result, in words."""

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
        """The rules that failed, broke down or had no fact to judge; those of one mode, if named."""
        bad = [rule for rule in self.rules if rule.result in ("failed", "missing", "error")]
        return [rule for rule in bad if mode is None or rule.mode == mode]


class Alpha(Value):
    """What a look at the benches cost the campaign's budget for false promotions."""

    look: int
    spent: float
    left: float


class Cost(Value):
    """What something took; None is not known, and a sum counts what is."""

    seconds: float = 0
    trained_tokens: int = 0
    generated_tokens: int = 0
    gpu_seconds: float | None = None
    """Of the capsules that used a GPU."""
    peak_host_bytes: int | None = None
    """Most resident memory of a capsule with all that it started."""
    peak_gpu_bytes: int | None = None
    """Most that a capsule held of its GPUs."""
    energy_joules: float | None = None
    """Of the GPUs that capsules used, by the driver."""

    @classmethod
    def of(cls, seconds: float, output: Mapping[str, Any], usage: Usage | None) -> Cost:
        """A try of a stage, by what it came back with and what it used, as far as that was kept."""
        tokens = output.get("tokens", {})
        used = usage.model_dump() if usage else {}
        return cls(
            seconds=seconds,
            trained_tokens=tokens.get("trained", 0),
            generated_tokens=tokens.get("generated", 0),
            **used,
        )

    def __add__(self, other: Cost) -> Cost:
        """Both together; of the peaks the higher one."""
        return Cost(
            seconds=self.seconds + other.seconds,
            trained_tokens=self.trained_tokens + other.trained_tokens,
            generated_tokens=self.generated_tokens + other.generated_tokens,
            gpu_seconds=known_sum(self.gpu_seconds, other.gpu_seconds),
            peak_host_bytes=known_max(self.peak_host_bytes, other.peak_host_bytes),
            peak_gpu_bytes=known_max(self.peak_gpu_bytes, other.peak_gpu_bytes),
            energy_joules=known_sum(self.energy_joules, other.energy_joules),
        )

    @property
    def words(self) -> dict[str, str]:
        """What it took of the machine, as people read it, by what it is."""
        no_gpu = "none" if self.gpu_seconds == 0 else "unknown"
        host, gpu, energy = self.peak_host_bytes, self.peak_gpu_bytes, self.energy_joules
        return {
            "GPU seconds": "unknown" if self.gpu_seconds is None else f"{self.gpu_seconds:.1f}",
            "peak memory": "unknown" if host is None else f"{host / 2**30:.2f} GiB",
            "peak GPU memory": no_gpu if gpu is None else f"{gpu / 2**30:.2f} GiB",
            "GPU energy": no_gpu if energy is None else f"{energy / 1000:.1f} kJ",
        }


class Override(Value):
    """A person's word against a verdict: who, why and until when."""

    by: str
    """The system user."""
    reason: str
    expires_at: str
    """UTC, ISO 8601; past it the override has no effect."""
    overrules: str
    """The decision that it is about."""
    verdict: Literal["ACCEPT", "REJECT"]


class Decision(Value):
    """A judgement written down: where, when, on what, at what cost, and what it did to the live pointer."""

    decision_id: str
    pass_number: int | None
    judgement: Judgement | None
    """None for what a person or a start did: a revert by hand, an override."""
    action: Literal["continue", "stop", "promote", "revert", "baseline", "override"]
    reason: str
    live_version: int | None = None
    """The version that this decision made, where it moved live."""
    pack: str | None = None
    at: str
    """UTC, ISO 8601."""
    evidence_digest: str = ""
    """SHA-256 of the judgement's evidence, as canonical JSON."""
    packs: dict[str, str] = Field(default_factory=dict)
    """The packs compared, by what they were: `candidate`, `parent`, `live`, `base`."""
    lost: tuple[str, ...] = ()
    """Counted tasks that live wins and the candidate fails, as far as they were run."""
    gained: tuple[str, ...] = ()
    """Counted tasks that live fails and the candidate wins."""
    alpha: Alpha | None = None
    power: str = ""
    """What the benches can see at that alpha, in a sentence."""
    cost: Cost | None = None
    """What the pass had cost by then."""
    avoided: Cost | None = None
    """What the rest of the pass would have cost, by the median of earlier passes; None where none ran that far."""
    override: Override | None = None

    def record(self) -> dict[str, Any]:
        """The JSON that the log holds."""
        return self.model_dump(mode="json")
