"""What is told of one pass the morning after: frozen values, and what can be read off them; `render` makes pages of it.

The values hold candidates' programs and failure texts, which are a stranger's: only `render` may put them on a page.
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
"""Characters of a program or a prompt that a report keeps; a candidate may have written a megabyte."""


ENDINGS = {
    PassState.CONFIRMED: "Its pack went live as version {first} and held in the watch.",
    PassState.REVERTED: "Its pack went live as version {first} and was taken back: version {last} is an older pack.",
    PassState.REJECTED: "It broke a rule, and nothing of it went live.",
    PassState.HELD: "It proved nothing either way, and nothing of it went live.",
    PassState.FAILED: "The world failed, which says nothing of the recipe.",
    PassState.SUPERSEDED: "It was given up unjudged.",
}


class StageCost(Value):
    """A stage of the pass: how often it was tried, what all its tries took, and the last error if none was left."""

    name: str
    attempts: int
    seconds: float
    error: str = ""
    cost: Cost = Cost()
    """The same seconds, with tokens and what was used of the machine."""


class BenchRun(Value):
    """What the pack's bench wrote, on all splits but the canary, which is read only after a promotion."""

    bench: str
    tasks: int
    """That the bench has on those splits."""
    written: int = 0
    """Envelopes."""
    organ_alone: int = 0
    """Of these, those of mode B."""
    foreign: int = 0
    """Of these, those that another handler answered."""
    fallbacks: int = 0
    """Of these, those that a fallback model answered."""
    excluded: str = ""
    """Why the bench is not counted; empty where it is."""


class FlipStory(Value):
    """A task whose result differs between live and the candidate, with both programs and the check that failed."""

    task_id: str
    bench: str
    split: str
    kind: Literal["lost", "gained"]
    marks: tuple[str, ...] = ()
    """What the evidence says of it: anchor, provisional, hidden."""
    prompt: str = ""
    before: str | None = None
    """The live pack's program; None where it was not kept."""
    after: str | None = None
    """The candidate's."""
    poison: str = ""
    """Why the failing one of the two failed."""
    detail: str = ""

    @property
    def diff(self) -> str | None:
        """Before to after, as a unified diff; None where one of them was not kept."""
        if self.before is None or self.after is None:
            return None
        lines = difflib.unified_diff(
            self.before.split("\n"), self.after.split("\n"), "live", "candidate", lineterm="", n=8
        )
        return "\n".join(lines) or "(the same program)"


class LiveWins(Value):
    """A version of the live pointer and what its pack wins, all splits."""

    version: int
    pack: str
    how: Literal["baseline", "promote", "revert"]
    pass_number: int | None = None
    """The pass that made the pack."""
    during: int | None = None
    """The pass that was under way when it went live; None where it was none, as with a revert by hand."""
    wins: dict[str, int]
    """By counted bench."""
    tasks: dict[str, int]

    @property
    def total(self) -> int:
        """Over the counted benches."""
        return sum(self.wins.values())


class StopLine(NamedTuple):
    """A bound of the policy on the loss, as a line across the curve, in nats per token."""

    rule_id: str
    loss: float


class PassReport(Value):
    """One pass, as the store and the workspace know it; what was not measured is empty or None."""

    record: PassRecord
    in_force: InForce | None = None
    """What the pass was begun under; None for one from before that was recorded."""
    proposer: str
    """Where the recipe came from and what was known then, in a sentence."""
    rows: dict[str, int] = Field(default_factory=dict)
    """By reason: poison, anchor, mastered."""
    decisions: tuple[Decision, ...] = ()
    """Of this pass and about it, oldest first."""
    stages: tuple[StageCost, ...] = ()
    cost: Cost = Cost()
    """What all its stages took together."""
    training: TrainResult | None = None
    rungs: tuple[RungTried, ...] = ()
    """Variants of the adapter that were tried since it lost anchors, in their order."""
    steps: tuple[tuple[int, float], ...] = ()
    """(step, loss), as the capsule reported them."""
    flips: tuple[FlipStory, ...] = ()
    """Lost first, then gained."""
    benches: tuple[BenchRun, ...] = ()
    trend: tuple[LiveWins, ...] = ()
    people: tuple[PersonAct, ...] = ()
    """What people did while it was open, or to it and its pack, oldest first."""
    unvouched: tuple[Unvouched, ...] = ()
    """Where a signing key took over that its predecessor did not sign."""
    masked: tuple[Masked, ...] = ()
    """What was masked in it."""

    @property
    def judged(self) -> list[tuple[Decision, Judgement]]:
        """The decisions with a judgement: those that refused first, then in their order."""
        judged = [(decision, decision.judgement) for decision in self.decisions if decision.judgement]
        return sorted(judged, key=lambda pair: pair[1].verdict == Verdict.ACCEPT)

    @property
    def facts(self) -> Evidence:
        """Every fact that was known at the end, the newest value of each."""
        known: Evidence = {}
        for decision in self.decisions:
            if decision.judgement:
                known |= {name: value for name, value in decision.judgement.evidence.items() if value is not None}
        return known

    @property
    def refusal(self) -> tuple[Decision, Judgement, RuleResult | None] | None:
        """The judgement that ended the pass, with the rule that decided it; None where none did in the end."""
        refused = refusals_of(self.record, self.decisions)
        return (*refused[-1], deciding_rule(refused[-1][1])) if refused else None

    @property
    def overrides(self) -> list[Decision]:
        """A person's words against the verdicts."""
        return [decision for decision in self.decisions if decision.action == "override"]

    @property
    def alpha(self) -> Alpha | None:
        """What the pass's look at the benches cost, nothing where it had none, and what is left."""
        return next((d.alpha for d in reversed(self.decisions) if d.alpha), None)

    @property
    def power(self) -> str:
        """What the benches could see, in a sentence; empty where nobody looked."""
        told = next((d.power for d in reversed(self.decisions) if d.power), "")
        return f"{told[:1].upper()}{told[1:]}." if told else ""

    @property
    def avoided(self) -> Cost | None:
        """What the refusing gate saved."""
        return self.refusal[0].avoided if self.refusal else None

    @property
    def recipe_words(self) -> str:
        """The recipe as a sentence."""
        return recipe_words(self.record.recipe)

    @property
    def headline(self) -> str:
        """How the pass ended, in a sentence or two."""
        told = ENDINGS.get(self.record.state, f"Still open, in state {self.record.state.value}.")
        versions = [decision.live_version for decision in self.decisions if decision.live_version is not None]
        told = told.format(first=versions[0] if versions else "?", last=versions[-1] if versions else "?")
        if self.record.state == PassState.REJECTED and self.overrides and not self.refusal:
            return f"A person ended it: {self.record.reason}"
        if self.overrides:
            told += f" A person overruled {len(self.overrides)} of its verdicts."
        if self.record.state in (PassState.FAILED, PassState.SUPERSEDED):
            return f"{told} {self.record.reason}"
        if self.refusal is None:
            return told
        _, judgement, rule = self.refusal
        if rule is None:
            return f"{told} Phase {judgement.phase} came to {judgement.verdict.value}: {judgement.reason}."
        return f"{told} Phase {judgement.phase}, rule {rule.rule_id}: {rule.fact} is {rule.seen}, wanted {rule.bound}."

    @property
    def stop_lines(self) -> list[StopLine]:
        """Where the policy's bounds on the loss lie."""
        first = self.training.first_epoch_loss if self.training else None
        return [
            line
            for _, judgement in self.judged
            if judgement.phase == "training"
            for rule in judgement.rules
            if (line := _stop_line(rule, first)) is not None
        ]

    def flipped(self, kind: str) -> list[FlipStory]:
        """The lost ones, or the gained ones."""
        return [flip for flip in self.flips if flip.kind == kind]

    def fact(self, name: str) -> FactValue:
        """One fact; None where it was not measured."""
        return self.facts.get(name)


def deciding_rule(judgement: Judgement) -> RuleResult | None:
    """The first rule that says alone what the judgement came to; None where no rule does, as with an empty phase."""
    return next((rule for rule in judgement.rules if verdict_of(rule) == judgement.verdict), None)


def ranked(rules: Iterable[RuleResult]) -> list[RuleResult]:
    """The rules of a phase for a reader: those that refuse first, then what only objects, then the rest."""

    def rank(rule: RuleResult) -> int:
        if verdict_of(rule) != Verdict.ACCEPT:
            return 0
        return 1 if rule.result in ("failed", "missing", "error") else 2

    return sorted(rules, key=rank)


def refusals_of(record: PassRecord, decisions: Sequence[Decision]) -> list[tuple[Decision, Judgement]]:
    """The judgements that refused a pass and were not overruled; a word that let nothing through overruled nothing."""
    words = [decision.override for decision in decisions if decision.override]
    stands = record.state in (PassState.REJECTED, PassState.HELD)
    overruled = {word.overrules for word in words if word.verdict == "ACCEPT" and not stands}
    return [
        (decision, decision.judgement)
        for decision in decisions
        if decision.judgement and decision.judgement.verdict != Verdict.ACCEPT and decision.decision_id not in overruled
    ]


LOST_BEYOND_A_BENCH = {"smoke": "smoke.lost_names", "watch": "watch.lost_names"}
"""By phase, the fact that names the anchors lost where no bench was held against another."""


def flips_of(decisions: Sequence[Decision]) -> tuple[list[str], list[str]] | None:
    """(lost, gained) by all decisions of a pass; None where no candidate was ever run."""
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
    # What the smoke lost and the bench then won is the candidate's knife edge, and is told as what it was first.
    return (list(lost), [task for task in gained if task not in lost]) if ran else None


def recipe_words(recipe: Recipe) -> str:
    """A recipe as a sentence, for people who do not know its fields."""
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
    """A text as long as a report keeps it, and said so where it was longer."""
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
