"""A decision: a verdict with its evidence, rule by rule; immutable once written."""

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
"""None means missing, which never passes a rule, whatever its bound."""
Evidence = dict[str, FactValue]


class Verdict(StrEnum):
    """The outcome of a phase: the worst outcome of its rules, in this order."""

    INVALID = "INVALID"
    ERROR = "ERROR"
    REJECT = "REJECT"
    INCONCLUSIVE = "INCONCLUSIVE"
    ACCEPT = "ACCEPT"


def worst(verdicts: list[Verdict]) -> Verdict:
    """Return the verdict that overrules the others."""
    order = list(Verdict)
    return min(verdicts, key=order.index)


class RuleResult(Value):
    """The outcome of one rule in one judgement; `margin` is how far inside its bound the fact is, negative outside."""

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
    """The reason for the result, in words."""

    @property
    def seen(self) -> str:
        """The observed value, formatted for people."""
        if self.result == "missing":
            return "missing"
        return f"{self.observed:.3g}" if isinstance(self.observed, float) else f"{self.observed}"


class Judgement(Value):
    """The result of `judge` for one phase: a pure function of policy and evidence."""

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
        """Return the rules that failed, raised an error or had no fact to judge; of one mode, if given."""
        bad = [rule for rule in self.rules if rule.result in ("failed", "missing", "error")]
        return [rule for rule in bad if mode is None or rule.mode == mode]


class Alpha(Value):
    """The alpha that a look at the benches spent of the campaign's budget for false promotions."""

    look: int
    spent: float
    left: float


class Cost(Value):
    """The resources that something used; None means unknown, and a sum counts the known values."""

    seconds: float = 0
    trained_tokens: int = 0
    generated_tokens: int = 0
    gpu_seconds: float | None = None
    """Seconds of the capsules that used a GPU."""
    peak_host_bytes: int | None = None
    """The peak resident memory of a capsule with its child processes."""
    peak_gpu_bytes: int | None = None
    """The peak GPU memory of a capsule."""
    energy_joules: float | None = None
    """The energy of the GPUs that capsules used, as the driver reports it."""

    @classmethod
    def of(cls, seconds: float, output: Mapping[str, Any], usage: Usage | None) -> Cost:
        """Return the cost of one attempt of a stage, from its output and its usage, if recorded."""
        tokens = output.get("tokens", {})
        used = usage.model_dump() if usage else {}
        return cls(
            seconds=seconds,
            trained_tokens=tokens.get("trained", 0),
            generated_tokens=tokens.get("generated", 0),
            **used,
        )

    def __add__(self, other: Cost) -> Cost:
        """Return the sum; of peaks, the higher one."""
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
        """The machine's resources that were used, by name, formatted for people."""
        no_gpu = "none" if self.gpu_seconds == 0 else "unknown"
        host, gpu, energy = self.peak_host_bytes, self.peak_gpu_bytes, self.energy_joules
        return {
            "GPU seconds": "unknown" if self.gpu_seconds is None else f"{self.gpu_seconds:.1f}",
            "peak memory": "unknown" if host is None else f"{host / 2**30:.2f} GiB",
            "peak GPU memory": no_gpu if gpu is None else f"{gpu / 2**30:.2f} GiB",
            "GPU energy": no_gpu if energy is None else f"{energy / 1000:.1f} kJ",
        }


class Override(Value):
    """A person's override of a verdict: who, why and until when."""

    by: str
    """The system user."""
    reason: str
    expires_at: str
    """UTC, ISO 8601; after it the override has no effect."""
    overrules: str
    """The decision that it overrules."""
    verdict: Literal["ACCEPT", "REJECT"]


class Decision(Value):
    """A recorded judgement: pass, time, packs, cost, and its effect on the live pointer."""

    decision_id: str
    pass_number: int | None
    judgement: Judgement | None
    """None for a decision without a judgement: a revert by hand, an override, the baseline."""
    action: Literal["continue", "stop", "promote", "revert", "baseline", "override"]
    reason: str
    live_version: int | None = None
    """The version of the live pointer that this decision created, if it moved live."""
    pack: str | None = None
    at: str
    """UTC, ISO 8601."""
    evidence_digest: str = ""
    """SHA-256 of the judgement's evidence, as canonical JSON."""
    packs: dict[str, str] = Field(default_factory=dict)
    """The packs compared, by role: `candidate`, `parent`, `live`, `base`."""
    lost: tuple[str, ...] = ()
    """Counted tasks that live passes and the candidate fails, among those that were run."""
    gained: tuple[str, ...] = ()
    """Counted tasks that live fails and the candidate passes."""
    alpha: Alpha | None = None
    power: str = ""
    """The smallest loss that the benches can see at that alpha, in a sentence."""
    cost: Cost | None = None
    """The cost of the pass up to this decision."""
    avoided: Cost | None = None
    """The expected cost of the rest of the pass, by the median of earlier passes; None if none ran that far."""
    override: Override | None = None

    def record(self) -> dict[str, Any]:
        """Return the JSON that the log stores."""
        return self.model_dump(mode="json")
