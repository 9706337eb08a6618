"""Every fact that a rule may name: its type, unit, phase and sentence. The only list; docs and checks read it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple

from autosurgeon.core.decision import PHASES, Phase

FactType = Literal["number", "text", "truth", "list"]


class Fact(NamedTuple):
    """One fact, known at its phase and at the phases after it."""

    name: str
    type: FactType
    unit: str
    phase: Phase
    sentence: str
    named_by: str | None = None
    """The fact with the names of what this one counts; a decision shows them."""


def _of(phase: Phase, *rows: tuple[str, ...]) -> tuple[Fact, ...]:
    """Facts of one phase; (name, type, unit, sentence) and, where one is counted, the fact with the names."""
    return tuple(Fact(name, kind, unit, phase, *rest) for name, kind, unit, *rest in rows)  # type: ignore[arg-type]


_BASELINE = _of(
    "baseline",
    ("baseline.verified", "truth", "1", "The first pack was read back and every digest held."),
    ("baseline.live_versions", "number", "versions", "Live versions that there were before this one."),
)
_PROPOSAL = _of(
    "proposal",
    ("recipe.parent", "text", "base or live", "The pack that the pass trains on."),
    ("recipe.mix", "text", "poison or union", "Which rows: fresh failures, or all that ever failed."),
    ("recipe.poison_share", "number", "share", "Of the parent's fresh failures, how many are rows."),
    ("recipe.anchor_share", "number", "anchors per poison row", "How many anchor rows are mixed in."),
    ("recipe.epochs", "number", "epochs", "How often the rows are read at most."),
    ("recipe.lr", "number", "1", "The peak learning rate."),
    ("recipe.lr_ratio", "number", "ratio", "Learning rate over the organ's reference rate (setting)."),
    ("recipe.rank", "number", "1", "The rank of the LoRA adapter."),
    ("recipe.alpha_ratio", "number", "ratio", "LoRA alpha over rank."),
    ("recipe.quantization", "text", "none or nf4", "How the frozen base is held while training (setting)."),
    ("recipe.parameters_per_row", "number", "parameters per row", "Trainable parameters of the adapter over rows."),
    ("targets.benches", "number", "benches", "Benches whose failures may be trained on."),
    ("targets.leaking", "number", "benches", "Target benches that a foreign handler answered for."),
    ("data.rows", "number", "rows", "Rows that the pass trains on."),
    ("data.poison_rows", "number", "rows", "Rows that the parent fails."),
    ("data.anchor_rows", "number", "rows", "Rows that are anchors, as training contrast."),
    ("data.mastered_rows", "number", "rows", "Rows that the parent passes and that are no anchor rows."),
    ("data.parent_overlap", "number", "rows", "Rows that the parent, or a pack that it comes from, was trained on."),
    ("data.new_rows", "number", "rows", "Rows that neither the parent nor a pack that it comes from was trained on."),
    (
        "data.left_out_rows",
        "number",
        "rows",
        "Failures that may be no rows yet: nothing near them is won (setting).",
    ),
    ("data.held_out_rows", "number", "rows", "Rows from any split but surgery."),
    (
        "data.held_out_hits",
        "number",
        "rows",
        "Rows that repeat a held-out task: same program, same prompt, or same family.",
        "data.held_out_pairs",
    ),
    ("data.held_out_pairs", "list", "pairs", "Which rows, and which held-out tasks; the first 20."),
    (
        "data.near_hits",
        "number",
        "rows",
        "Rows that are like a held-out task: half of its 10-grams, or MinHash similarity 0.7.",
        "data.near_pairs",
    ),
    ("data.near_pairs", "list", "pairs", "Which rows, and which held-out tasks; the nearest 20."),
    (
        "selftest.failed",
        "number",
        "checks",
        "Checks of itself that the gate failed.",
        "selftest.names",
    ),
    ("selftest.names", "list", "checks", "Which checks those were, and what came of them."),
    ("budget.alpha", "number", "probability", "Alpha of this pass's look at the benches; before it, of the next look."),
    ("budget.alpha_left", "number", "probability", "Alpha that the live version has left, this look's not counted."),
    ("budget.passes", "number", "passes", "Passes of this workspace so far, this one too."),
    ("budget.hours", "number", "hours", "Hours that the stages of this workspace took so far."),
    ("budget.disk_gib", "number", "GiB", "Free disk space of the workspace."),
)
_TRAINING = _of(
    "training",
    ("training.loss", "number", "nats per token", "Mean loss of the last quarter epoch."),
    ("training.loss_fraction", "number", "ratio", "That loss over the first epoch's mean loss."),
    ("training.epochs", "number", "epochs", "How often the rows were read."),
    ("training.steps", "number", "steps", "Optimizer steps taken."),
    ("training.gradient_norm", "number", "1", "The largest gradient norm before clipping."),
    ("training.kl", "number", "nats per token", "KL divergence of the adapter from its parent on the poison rows."),
    ("training.kl_anchors", "number", "nats per token", "The same on held-out anchors."),
    (
        "training.anchor_loss_rise",
        "number",
        "nats per token",
        "Rise of the loss on held-out anchors over the parent.",
    ),
)
_SMOKE = _of(
    "smoke",
    ("smoke.tried", "number", "tasks", "Held-out anchors that the adapter ran."),
    ("smoke.lost", "number", "tasks", "Of these, those that it fails, each retry too.", "smoke.lost_names"),
    ("smoke.lost_names", "list", "tasks", "Which anchors those are; the first 20."),
    ("smoke.flaky", "number", "tasks", "Of these, those that it failed first and passed on a retry."),
    ("smoke.flake_rate", "number", "share", "Flaky ones over those tried."),
    ("salvage.tried", "number", "rungs", "Variants of the adapter that were smoked since it lost too many anchors."),
    ("salvage.rung", "text", "rung or none", "Which of them is the pass's adapter now, such as `scale:0.5`."),
    ("salvage.lost", "number", "tasks", "Held-out anchors that the adapter lost as it was trained."),
)
_MERGE = _of(
    "merge",
    ("pack.verified", "truth", "1", "The packed file was read back and every digest held."),
    (
        "merge.missing_tensors",
        "number",
        "tensors",
        "Tensors that the pack lacks, has too many, or reshaped.",
    ),
    ("merge.tokens", "number", "tokens", "Tokens on which adapter and packed file were held against each other."),
    (
        "merge.kl",
        "number",
        "nats per token",
        "KL divergence of the packed file from the adapter on the base that it was merged into.",
    ),
    ("merge.flips", "number", "tokens", "Tokens that this adapter and the packed file would choose differently."),
    (
        "merge.kl_nf4",
        "number",
        "nats per token",
        "The same from the adapter on the base in NF4, as it was trained; missing without quantization.",
    ),
    ("merge.flips_nf4", "number", "tokens", "Tokens that this one and the packed file would choose differently."),
    (
        "merge.kl_bf16",
        "number",
        "nats per token",
        "The same from the adapter on the base's own weights; missing without quantization.",
    ),
    ("merge.flips_bf16", "number", "tokens", "Tokens that this one and the packed file would choose differently."),
)
_PROMOTION = _of(
    "promotion",
    ("bench.tasks", "number", "tasks", "Counted tasks that the pack ran."),
    ("bench.missing", "number", "tasks", "Counted tasks that should have run and did not."),
    ("bench.fallbacks", "number", "answers", "Answers that a fallback model gave."),
    ("bench.foreign", "number", "answers", "Answers on counted benches not given by the organ."),
    ("bench.impossible_tried", "number", "tasks", "Tasks with contradictory tests that were tried."),
    ("bench.impossible_passed", "number", "tasks", "Of these, those passed: each one a proof of cheating."),
    ("bench.shared_tier", "number", "tasks", "Tasks graded in the weaker tier, tests and program together."),
    ("bench.shared_share", "number", "share", "The same as a share of the tasks."),
    ("bench.same_conditions", "truth", "1", "Pack, live and base were benched with the same fingerprint."),
    ("bench.worst_net", "number", "tasks", "Net wins over live on the worst counted bench, all splits."),
    ("bench.worst_net_over_base", "number", "tasks", "The same over the base."),
    ("anchors.lost", "number", "tasks", "Confirmed wins of the live pack that the pack fails.", "anchors.lost_names"),
    ("anchors.lost_names", "list", "tasks", "Which they are; the first 20."),
    (
        "anchors.hidden_lost",
        "number",
        "tasks",
        "Of these, those of the hidden share, which no training sees.",
    ),
    (
        "provisional.lost",
        "number",
        "tasks",
        "Wins of the live pack that were not confirmed and that the pack fails.",
        "provisional.lost_names",
    ),
    ("provisional.lost_names", "list", "tasks", "Which they are; the first 20."),
    ("gate.tasks", "number", "tasks", "Gate tasks that both packs ran."),
    ("gate.lost", "number", "tasks", "Gate tasks that live wins and the pack fails."),
    ("gate.gained", "number", "tasks", "Gate tasks that live fails and the pack wins."),
    ("gate.net", "number", "tasks", "Gained minus lost on the gate."),
    ("gate.net_split", "number", "tasks", "The same on tasks that both packs had graded in the split tier."),
    ("gate.p_regression", "number", "probability", "Exact one-sided McNemar for a loss on the gate."),
    ("gate.e_regression", "number", "e-value", "Evidence for a loss on the gate that may be looked at at any time."),
    ("total.lost", "number", "tasks", "Counted tasks that live wins and the pack fails, all splits but canary."),
    ("total.gained", "number", "tasks", "Counted tasks that live fails and the pack wins, all splits but canary."),
    ("total.net", "number", "tasks", "Gained minus lost over all of them."),
    ("total.gained_per_lost", "number", "ratio", "Tasks gained for each one lost; all gained where none is lost."),
    ("total.p_regression", "number", "probability", "Exact one-sided McNemar for a loss over all of them."),
    ("total.p_gain", "number", "probability", "Exact one-sided McNemar for a gain over all of them."),
    ("total.gained_confirmed", "number", "tasks", "Of those gained and sampled, those that their own samples confirm."),
    ("total.p_luck", "number", "probability", "Chance of such evidence in the samples where nothing was gained."),
    ("total.kl", "number", "nats per token", "KL divergence of the pack from live on the gate tasks' references."),
    ("total.visible_loss", "number", "tasks", "The smallest loss over all of them that this look's alpha can call."),
)
_WATCH = _of(
    "watch",
    ("watch.canary_tasks", "number", "tasks", "Canary tasks that both the old and the new live ran."),
    ("watch.canary_lost", "number", "tasks", "Canary tasks that the old live won and the new one fails."),
    ("watch.canary_net", "number", "tasks", "Gained minus lost on the canary split."),
    ("watch.anchors_tried", "number", "tasks", "Anchors that the new live ran again."),
    ("watch.anchors_lost", "number", "tasks", "Anchors that the new live fails, each retry too.", "watch.lost_names"),
    ("watch.lost_names", "list", "tasks", "Which anchors those are; the first 20."),
    ("watch.record_tasks", "number", "tasks", "Tasks that live ran again after its promotion."),
    ("watch.record_lost", "number", "tasks", "Of these, those that it won at its promotion and fails now."),
    ("watch.net", "number", "tasks", "Net wins over the old live on all that both ran, by the newest results."),
)
FACTS: tuple[Fact, ...] = (*_BASELINE, *_PROPOSAL, *_TRAINING, *_SMOKE, *_MERGE, *_PROMOTION, *_WATCH)
BY_NAME = {fact.name: fact for fact in FACTS}

SLICES = {
    "n": ("tasks", "Tasks of one bench and split that the pack ran."),
    "expected": ("tasks", "Tasks of one bench and split that should have run."),
    "net": ("tasks", "Gained minus lost against live on one bench and split."),
    "lost": ("tasks", "Tasks of one bench and split that live wins and the pack fails."),
    "gained": ("tasks", "Tasks of one bench and split that live fails and the pack wins."),
}
"""The facts of each bench and split at promotion: `slice.BENCH.SPLIT.n` and so on."""
SLICE = re.compile(r"slice\.(?P<bench>.+)\.(?P<split>surgery|dev|gate|all)\.(?P<measure>[a-z]+)")


@lru_cache(maxsize=4096)
def fact_of(name: str) -> Fact | None:
    """The fact of a name; facts of slices are made on demand, since the benches are the user's."""
    if name in BY_NAME:
        return BY_NAME[name]
    named = SLICE.fullmatch(name)
    if named is None or named["measure"] not in SLICES:
        return None
    unit, sentence = SLICES[named["measure"]]
    return Fact(name, "number", unit, "promotion", sentence)


ALONE: tuple[Phase, ...] = ("baseline", "watch")
"""Phases that judge a live pack by itself and know only their own facts."""


def known_at(fact: Fact, phase: Phase) -> bool:
    """Whether the fact is known at the phase."""
    if phase in ALONE or fact.phase in ALONE:
        return fact.phase == phase
    return PHASES.index(fact.phase) <= PHASES.index(phase)
