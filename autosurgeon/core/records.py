"""What is remembered, as small frozen records with no database handle in them."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from pydantic import Field

from autosurgeon.core.decision import Cost, Scalar
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.recipe import Recipe
from autosurgeon.core.usage import Usage
from autosurgeon.core.value import Value


class Feedback(Value):
    """What the proposer is told of a pass: a value on dev where it was measured, and what was violated, by how much."""

    value: float | None = None
    violations: dict[str, float] = Field(default_factory=dict)
    """By rule, in parts of its bound where that is above one."""
    spent_share: float | None = None
    """Of a refused pass, the tokens that it took as a share of a whole pass's; None where that is not known."""
    failed: bool = False
    """The world failed; the recipe is not to blame."""


class Contract(Value):
    """What a pass was begun under: with something else in its place, its stages would be other ones."""

    code: str
    """Digest of this package's code."""
    policy: str
    """Digest of the policy."""
    tasks: str
    """Digest of every task of every bench."""
    settings: dict[str, str]
    """Digest by section, of the settings that bear on what a stage comes back with."""

    def changed(self, now: Contract) -> list[str]:
        """What is another thing now, in words."""
        names = [name for name in ("code", "policy", "tasks") if getattr(self, name) != getattr(now, name)]
        sections = sorted(self.settings.keys() | now.settings.keys())
        return names + [f"settings [{name}]" for name in sections if self.settings.get(name) != now.settings.get(name)]


class PassRecord(Value):
    """One pass as it stands."""

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
    """None for a pass from before contracts were kept."""
    started_at: str
    ended_at: str | None


class Live(NamedTuple):
    """A version of the live pointer."""

    version: int
    pack: str
    decision_id: str
    at: str


class StageRecord(NamedTuple):
    """One try of a stage."""

    scope: str
    name: str
    attempt: int
    error: str | None
    seconds: float
    at: str
    usage: Usage | None = None
    """None for one from before it was kept."""
    cost: Cost = Cost()
    """What the try took: its seconds and usage, and the tokens of its own output."""


class Effect(NamedTuple):
    """What a stage brought about."""

    effect_id: str | None
    """None for a stage from before they were kept."""
    output: dict[str, Any]


class StageOutput(NamedTuple):
    """A committed stage: what it came back with, and how long it took."""

    name: str
    output: dict[str, Any]
    seconds: float
    usage: Usage | None = None


class RungTried(Value):
    """A rung of the salvage ladder that a pass came to, with a variant of its adapter, and what the smoke said."""

    rung: str
    """As the setting names it; `checkpoint:1.5` is the state after one and a half epochs."""
    skipped: str = ""
    """Why nothing was smoked; empty where it was."""
    adapter: str = ""
    """The variant's folder, relative to that of the pass's stages."""
    held: bool = False
    """Whether it lost no more anchors than the policy allows, so that it is the pass's adapter."""
    smoked: int = 0
    """Anchors that it ran, until it had lost too many."""
    lost: tuple[str, ...] = ()
    """Those of them that it fails, each retry too."""

    @property
    def outcome(self) -> str:
        """What came of it, in words."""
        if self.skipped:
            return f"skipped: {self.skipped}"
        return "taken as the pass's adapter" if self.held else "given up"


class AnchorRun(NamedTuple):
    """One anchor on one occasion: tries with the same weights, and how many passed."""

    occasion: str
    task_id: str
    tries: int
    passed: int

    @property
    def is_flaky(self) -> bool:
        """Whether the same weights both failed and passed it."""
        return 0 < self.passed < self.tries


class Deployment(Value):
    """What the deployed runtime was told, by a command of the user's, and what came of it."""

    action: Literal["promote", "revert"]
    pack: str
    """What it shall serve."""
    version: int
    """The live version then: before a promotion the one that it is to replace."""
    ended: bool = False
    """False for one that is under way, or in which the process died."""
    exit_code: int | None = None
    """None where it did not end by itself."""
    seconds: float = 0.0
    """With the wait for the runtime's answer."""
    output: str = ""
    """The end of what it wrote."""
    error: str | None = None
    """Why the runtime does not serve the pack, in words."""

    def serves(self, pack: str) -> bool:
        """Whether the runtime was made to serve that pack."""
        return self.ended and self.error is None and self.pack == pack


class Quarantine(Value):
    """An anchor that a person set aside for a while."""

    task_id: str
    reason: str
    by: str
    at: str
    expires_at: str


class InForce(Value):
    """What a workspace's passes are judged by and drawn from: the policy, the parameters that were set, the seed."""

    policy: str
    """Digest; the store keeps the content."""
    file: str | None = None
    """Where the policy was read from; None where that is not known."""
    params: dict[str, Scalar] = Field(default_factory=dict)
    """The policy's parameters that were set, by name."""
    seed: int


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
    """Which one of a kind of end it is: a signal's name, a rule; None where the reason is all there is."""
    in_force: InForce | None = None
    """None for a run from before it was kept."""
