"""The records of the store, as frozen values without a database handle."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from pydantic import Field

from autosurgeon.core.decision import Cost, Scalar
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.recipe import Recipe
from autosurgeon.core.usage import Usage
from autosurgeon.core.value import Value


class Feedback(Value):
    """The proposer's feedback on a pass: a value on dev, if measured, and the violation of each broken rule."""

    value: float | None = None
    violations: dict[str, float] = Field(default_factory=dict)
    """By rule; relative to the bound if that is above one."""
    spent_share: float | None = None
    """The tokens of a refused pass as a share of those of a whole pass; None if unknown."""
    failed: bool = False
    """Whether the world failed, so that the recipe is not to blame."""


class Contract(Value):
    """The digests of what a pass's stages depend on; if one changes, earlier stages no longer fit the later ones."""

    code: str
    """Digest of this package's code."""
    policy: str
    """Digest of the policy."""
    tasks: str
    """Digest of every task of every bench."""
    settings: dict[str, str]
    """Digest by section, of the settings that affect the output of a stage."""
    seed: int | None = None
    """The seed; None for a contract that has only its digest, among the settings."""

    def changed(self, now: Contract) -> list[str]:
        """Return what differs now, in words."""
        names = [name for name in ("code", "policy", "tasks") if getattr(self, name) != getattr(now, name)]
        sections = sorted(self.settings.keys() | now.settings.keys())
        return names + [f"settings [{name}]" for name in sections if self.settings.get(name) != now.settings.get(name)]


class PassRecord(Value):
    """The current state of one pass."""

    number: int
    state: PassState
    verdict: str | None
    reason: str
    recipe: Recipe
    parent: str
    live_before: str
    pack: str | None
    feedback: Feedback | None
    contract: Contract | None
    """None for a pass that predates this field."""
    started_at: str
    ended_at: str | None


class Live(NamedTuple):
    """A version of the live pointer."""

    version: int
    pack: str
    decision_id: str
    at: str


class StageRecord(NamedTuple):
    """One attempt of a stage."""

    scope: str
    name: str
    attempt: int
    error: str | None
    seconds: float
    at: str
    usage: Usage | None = None
    """None for an attempt that predates this field."""
    cost: Cost = Cost()
    """The attempt's seconds and usage, and the tokens of its own output."""


class StageOutput(NamedTuple):
    """A committed stage: its output and its duration."""

    name: str
    output: dict[str, Any]
    seconds: float
    usage: Usage | None = None


class RungTried(Value):
    """A rung of the salvage ladder that a pass tried: a variant of its adapter and the result of its smoke."""

    rung: str
    """The name in the setting; `checkpoint:1.5` is the state after one and a half epochs."""
    skipped: str = ""
    """Why the variant was not smoked; empty if it was."""
    adapter: str = ""
    """The variant's folder, relative to the folder of the pass's stages."""
    held: bool = False
    """Whether it lost no more anchors than the policy allows and became the pass's adapter."""
    smoked: int = 0
    """The anchors that it ran before it lost too many."""
    lost: tuple[str, ...] = ()
    """The anchors that it failed, in every retry."""

    @property
    def outcome(self) -> str:
        """The outcome in words."""
        if self.skipped:
            return f"skipped: {self.skipped}"
        return "taken as the pass's adapter" if self.held else "given up"


class AnchorRun(NamedTuple):
    """One anchor on one occasion: the tries with the same weights, and the number that passed."""

    occasion: str
    task_id: str
    tries: int
    passed: int

    @property
    def is_flaky(self) -> bool:
        """Whether the same weights both failed and passed it."""
        return 0 < self.passed < self.tries


class Deployment(Value):
    """One run of the user's deploy command, and its outcome."""

    action: Literal["promote", "revert"]
    pack: str
    """The pack that the runtime shall serve."""
    version: int
    """The live version at the time: before a promotion, the one to be replaced."""
    ended: bool = False
    """False while it runs, or if the process died during it."""
    exit_code: int | None = None
    """None if the command did not end by itself."""
    seconds: float = 0.0
    """The duration, including the wait for the runtime's answer."""
    output: str = ""
    """The end of the command's output."""
    error: str | None = None
    """Why the runtime does not serve the pack, in words."""

    def serves(self, pack: str) -> bool:
        """Whether the runtime serves that pack after this deployment."""
        return self.ended and self.error is None and self.pack == pack


class Quarantine(Value):
    """An anchor that a person excluded for a limited time."""

    task_id: str
    reason: str
    by: str
    at: str
    expires_at: str


class InForce(Value):
    """The policy, its parameters and the seed that apply to passes."""

    policy: str
    """Digest; the store keeps the content."""
    name: str = ""
    """The policy's name; empty if its content is not kept."""
    params: dict[str, Scalar] = Field(default_factory=dict)
    """Every parameter of the policy, by name."""
    assigned: dict[str, Scalar] = Field(default_factory=dict)
    """The parameters that `--set` gave."""
    file: str | None = None
    """The file that the policy was read from, or `shipped:NAME`; None if unknown."""
    seed: int | None = None
    """None if unknown."""

    @property
    def line(self) -> str:
        """Return the line that every command shows: policy, 12 characters of its digest, parameters, seed."""
        values = [f"{name}={_spelled(value)}" for name, value in self.params.items()]
        named = " ".join(part for part in ("policy", self.name, self.policy[:12]) if part)
        line = ", ".join([named, *values, f"seed {'unknown' if self.seed is None else self.seed}"])
        # A text of a policy moves no cursor and makes no second line.
        return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)

    def judges_as(self, other: InForce) -> bool:
        """Return whether both apply the same policy and seed; an unknown seed equals any."""
        return self.policy == other.policy and (None in (self.seed, other.seed) or self.seed == other.seed)


def _spelled(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class RunRecord(Value):
    """One start of the loop."""

    id: int
    started_at: str
    ended_at: str | None
    passes_limit: int | None
    hours_limit: float | None
    passes_done: int
    end_reason: str | None
    end_detail: str | None = None
    """The detail of the reason, such as a signal's name or a rule; None if the reason has no detail."""
    in_force: InForce | None = None
    """None for a run that predates this field."""
