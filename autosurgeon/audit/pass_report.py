"""The report of one pass as frozen values and what follows from them; `render_reports` turns it into pages.

The values hold candidates' programs and failure texts, which are untrusted: only `render_reports` puts them on pages.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from pydantic import Field

from autosurgeon.audit.mask import Masked
from autosurgeon.audit.rotation import Unvouched
from autosurgeon.core.decision import Alpha, Cost, Decision, Evidence, FactValue, Judgement, RuleResult, Verdict
from autosurgeon.core.jobs import TrainResult
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.person import PersonAct
from autosurgeon.core.recipe import Mix, Recipe
from autosurgeon.core.records import InForce, PassRecord, RungTried
from autosurgeon.core.value import Value
from autosurgeon.policy.judge import verdict_of

LONGEST_TEXT = 4000
"""Characters of a program or prompt that a report keeps; a candidate may write a megabyte."""


ENDINGS = {
    PassState.CONFIRMED: "Its pack went live as version {first} and held in the watch.",
    PassState.REVERTED: "Its pack went live as version {first} and was reverted: version {last} is an older pack.",
    PassState.REJECTED: "It broke a rule; nothing went live.",
    PassState.HELD: "The evidence was inconclusive; nothing went live.",
    PassState.FAILED: "It failed for an external reason, which is no evidence about the recipe.",
    PassState.SUPERSEDED: "It was abandoned without a verdict.",
}


class StageCost(Value):
    """A stage of the pass: its attempts, their total cost, and the last error if it never succeeded."""

    name: str
    attempts: int
    seconds: float
    error: str = ""
    cost: Cost = Cost()
    """The same seconds, with tokens and machine usage."""


class BenchRun(Value):
    """The results of the pack's bench on all splits except the canary, which is read only after a promotion."""

    bench: str
    tasks: int
    """Tasks of the bench on those splits."""
    written: int = 0
    """Envelopes written."""
    organ_alone: int = 0
    """Envelopes of mode B."""
    foreign: int = 0
    """Envelopes that another handler answered."""
    fallbacks: int = 0
    """Envelopes that a fallback model answered."""
    excluded: str = ""
    """Why the bench is not counted; empty where it counts."""


class FlipStory(Value):
    """A task whose result differs between live and the candidate, with both programs and the check that failed."""

    task_id: str
    bench: str
    split: str
    kind: Literal["lost", "gained"]
    marks: tuple[str, ...] = ()
    """Roles in the evidence: anchor, provisional, hidden."""
    prompt: str = ""
    before: str | None = None
    """The live pack's program; None where it is not stored."""
    after: str | None = None
    """The candidate's program; None where it is not stored."""
    poison: str = ""
    """The cause of the failure of the failing program."""
    detail: str = ""

    @property
    def diff(self) -> str | None:
        """Unified diff from before to after; None where one of them is not stored."""
        if self.before is None or self.after is None:
            return None
        lines = difflib.unified_diff(
            self.before.split("\n"), self.after.split("\n"), "live", "candidate", lineterm="", n=8
        )
        return "\n".join(lines) or "(the same program)"


class LiveWins(Value):
    """A version of the live pointer and its pack's wins on all splits."""

    version: int
    pack: str
    how: Literal["baseline", "promote", "revert"]
    pass_number: int | None = None
    """The pass that made the pack."""
    during: int | None = None
    """The pass that was open when it went live; None without one, as in a revert by hand."""
    wins: dict[str, int]
    """Wins by counted bench."""
    tasks: dict[str, int]

    @property
    def total(self) -> int:
        """Wins over all counted benches."""
        return sum(self.wins.values())


class StopLine(NamedTuple):
    """A bound of the policy on the loss, in nats per token, drawn across the curve."""

    rule_id: str
    loss: float


class PassReport(Value):
    """One pass from the store and the workspace; what was not measured is empty or None."""

    record: PassRecord
    in_force: InForce | None = None
    """Policy, parameters and seed of the pass; None for passes of older versions."""
    proposer: str
    """Where the recipe came from and what was known then."""
    rows: dict[str, int] = Field(default_factory=dict)
    """Number of rows by reason: poison, anchor, mastered."""
    decisions: tuple[Decision, ...] = ()
    """Decisions of this pass and about it, oldest first."""
    stages: tuple[StageCost, ...] = ()
    cost: Cost = Cost()
    """The cost of all its stages together."""
    training: TrainResult | None = None
    rungs: tuple[RungTried, ...] = ()
    """Variants tried in order because the adapter lost anchors."""
    steps: tuple[tuple[int, float], ...] = ()
    """(step, loss), as the capsule reported them."""
    flips: tuple[FlipStory, ...] = ()
    """Lost first, then gained."""
    benches: tuple[BenchRun, ...] = ()
    trend: tuple[LiveWins, ...] = ()
    people: tuple[PersonAct, ...] = ()
    """Acts of people while it was open, or on it and its pack, oldest first."""
    unvouched: tuple[Unvouched, ...] = ()
    """Key rotations that the previous key did not sign."""
    masked: tuple[Masked, ...] = ()
    """What was masked in the report."""

    @property
    def judged(self) -> list[tuple[Decision, Judgement]]:
        """The decisions with a judgement, refusals first, otherwise in order."""
        judged = [(decision, decision.judgement) for decision in self.decisions if decision.judgement]
        return sorted(judged, key=lambda pair: pair[1].verdict == Verdict.ACCEPT)

    @property
    def facts(self) -> Evidence:
        """The newest value of every fact."""
        known: Evidence = {}
        for decision in self.decisions:
            if decision.judgement:
                known |= {name: value for name, value in decision.judgement.evidence.items() if value is not None}
        return known

    @property
    def refusal(self) -> tuple[Decision, Judgement, RuleResult | None] | None:
        """The judgement that refused the pass, with the deciding rule; None where the pass was not refused."""
        refused = refusals_of(self.record, self.decisions)
        return (*refused[-1], deciding_rule(refused[-1][1])) if refused else None

    @property
    def overrides(self) -> list[Decision]:
        """Overrides of verdicts by people."""
        return [decision for decision in self.decisions if decision.action == "override"]

    @property
    def alpha(self) -> Alpha | None:
        """The alpha spent on the pass's look at the benches, zero without a look, and the alpha left."""
        return next((d.alpha for d in reversed(self.decisions) if d.alpha), None)

    @property
    def power(self) -> str:
        """The statistical power of the benches, in a sentence; empty without a look."""
        power = next((d.power for d in reversed(self.decisions) if d.power), "")
        return f"{power[:1].upper()}{power[1:]}." if power else ""

    @property
    def avoided(self) -> Cost | None:
        """The cost that the refusal saved."""
        return self.refusal[0].avoided if self.refusal else None

    @property
    def describe_recipe(self) -> str:
        """The recipe as a sentence."""
        return describe_recipe(self.record.recipe)

    @property
    def headline(self) -> str:
        """How the pass ended, in a sentence or two."""
        ending = ENDINGS.get(self.record.state, f"Still open, in state {self.record.state.value}.")
        versions = [decision.live_version for decision in self.decisions if decision.live_version is not None]
        ending = ending.format(first=versions[0] if versions else "?", last=versions[-1] if versions else "?")
        if self.record.state == PassState.REJECTED and self.overrides and not self.refusal:
            return f"A person ended it: {self.record.reason}"
        if self.overrides:
            ending += f" A person overruled {len(self.overrides)} of its verdicts."
        if self.record.state in (PassState.FAILED, PassState.SUPERSEDED):
            return f"{ending} {self.record.reason}"
        if self.refusal is None:
            return ending
        _, judgement, rule = self.refusal
        if rule is None:
            return f"{ending} The verdict of phase {judgement.phase} is {judgement.verdict.value}: {judgement.reason}."
        return (
            f"{ending} Phase {judgement.phase}, rule {rule.rule_id}: {rule.fact} is {rule.seen}, wanted {rule.bound}."
        )

    @property
    def stop_lines(self) -> list[StopLine]:
        """The policy's bounds on the loss."""
        first = self.training.first_epoch_loss if self.training else None
        return [
            line
            for _, judgement in self.judged
            if judgement.phase == "training"
            for rule in judgement.rules
            if (line := _stop_line(rule, first)) is not None
        ]

    def flipped(self, kind: str) -> list[FlipStory]:
        """The flips of a kind."""
        return [flip for flip in self.flips if flip.kind == kind]

    def fact(self, name: str) -> FactValue:
        """The value of a fact; None where it was not measured."""
        return self.facts.get(name)


def deciding_rule(judgement: Judgement) -> RuleResult | None:
    """Return the first rule whose own verdict is the judgement's; None without one, as in an empty phase."""
    return next((rule for rule in judgement.rules if verdict_of(rule) == judgement.verdict), None)


def ranked(rules: Iterable[RuleResult]) -> list[RuleResult]:
    """Order the rules of a phase for readers: refusals first, then objections, then the rest."""

    def rank(rule: RuleResult) -> int:
        if verdict_of(rule) != Verdict.ACCEPT:
            return 0
        return 1 if rule.result in ("failed", "missing", "error") else 2

    return sorted(rules, key=rank)


def refusals_of(record: PassRecord, decisions: Sequence[Decision]) -> list[tuple[Decision, Judgement]]:
    """Return the refusals of a pass that stand; an override after which the pass still ended refused does not count."""
    overrides = [decision.override for decision in decisions if decision.override]
    is_refused = record.state in (PassState.REJECTED, PassState.HELD)
    overruled = {override.overrules for override in overrides if override.verdict == "ACCEPT" and not is_refused}
    return [
        (decision, decision.judgement)
        for decision in decisions
        if decision.judgement and decision.judgement.verdict != Verdict.ACCEPT and decision.decision_id not in overruled
    ]


LOST_BEYOND_A_BENCH = {"smoke": "smoke.lost_names", "watch": "watch.lost_names"}
"""By phase, the fact that names the lost anchors where no two benches are compared."""


def flips_of(decisions: Sequence[Decision]) -> tuple[list[str], list[str]] | None:
    """Collect (lost, gained) over all decisions of a pass; None where no candidate ran."""
    lost: dict[str, None] = {}
    gained: dict[str, None] = {}
    ran = False
    for decision in decisions:
        judgement = decision.judgement
        if judgement is None or judgement.phase not in ("smoke", "promotion", "watch"):
            continue
        ran = True
        named = judgement.evidence.get(LOST_BEYOND_A_BENCH.get(judgement.phase, ""))
        lost |= dict.fromkeys((*decision.lost, *(named if isinstance(named, tuple) else ())))
        gained |= dict.fromkeys(decision.gained)
    # A task that the smoke lost and the bench won is borderline; it counts as lost, its first result.
    return (list(lost), [task for task in gained if task not in lost]) if ran else None


def describe_recipe(recipe: Recipe) -> str:
    """Describe a recipe in a sentence for readers who do not know its fields."""
    parent = "the base" if recipe.parent == "base" else "the live pack"
    if recipe.mix == Mix.UNION:
        rows = "every task that ever failed, mastered or not"
    else:
        rows = f"{recipe.poison_share:.0%} of its fresh failures"
    anchors = f"{recipe.anchor_share:.2g} anchors for each" if recipe.anchor_share else "no anchors"
    readings = "once" if recipe.epochs == 1 else f"{recipe.epochs} times at most"
    held = "" if recipe.quantization == "none" else f", the base held in {recipe.quantization.value}"
    return (
        f"Train {parent} on {rows}, with {anchors}, read {readings}: LoRA of rank {recipe.rank} with alpha "
        f"{recipe.alpha_ratio * recipe.rank:.3g}, learning rate {recipe.lr:.3g}{held}, seed {recipe.seed}."
    )


def clipped(text: str) -> str:
    """Cut a text to the length that a report keeps, and note how much was cut."""
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT]}\n... ({len(text) - LONGEST_TEXT} more characters)"


def _stop_line(rule: RuleResult, first_epoch_loss: float | None) -> StopLine | None:
    bound = re.fullmatch(r"at_least ([-+.\deE]+)", rule.bound)
    if bound is None or rule.otherwise != "stop":
        return None
    if rule.fact == "training.loss":
        return StopLine(rule.rule_id, float(bound[1]))
    if rule.fact == "training.loss_fraction" and first_epoch_loss is not None:
        return StopLine(rule.rule_id, float(bound[1]) * first_epoch_loss)
    return None
