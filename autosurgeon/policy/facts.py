"""Every fact that a rule may name: its type, unit, phase and sentence. The only list; docs and checks read it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from autosurgeon.core.decision import PHASES, Phase

FactType = Literal["number", "text", "truth", "list"]


class Fact(NamedTuple):
    """One thing that is known at a phase, and at the phases after it."""

    name: str
    type: FactType
    unit: str
    phase: Phase
    sentence: str
    named_by: str | None = None
    """The fact that names what this one counts: a decision that turns on the count shows the names."""


FACTS: tuple[Fact, ...] = (
    Fact("recipe.parent", "text", "base or live", "proposal", "The pack that the pass trains on."),
    Fact("recipe.mix", "text", "poison or union", "proposal", "Which rows: fresh failures, or all that ever failed."),
    Fact("recipe.poison_share", "number", "share", "proposal", "Of the parent's fresh failures, how many are rows."),
    Fact("recipe.anchor_share", "number", "anchors per poison row", "proposal", "How many anchor rows are mixed in."),
    Fact("recipe.epochs", "number", "epochs", "proposal", "How often the rows are read at most."),
    Fact("recipe.lr", "number", "1", "proposal", "The peak learning rate."),
    Fact("recipe.lr_ratio", "number", "ratio", "proposal", "Learning rate over the organ's reference rate (setting)."),
    Fact("recipe.rank", "number", "1", "proposal", "The rank of the LoRA adapter."),
    Fact("recipe.alpha_ratio", "number", "ratio", "proposal", "LoRA alpha over rank."),
    Fact("targets.benches", "number", "benches", "proposal", "Benches whose failures may be trained on."),
    Fact("targets.leaking", "number", "benches", "proposal", "Target benches that a foreign handler answered for."),
    Fact("data.rows", "number", "rows", "proposal", "Rows that the pass trains on."),
    Fact("data.poison_rows", "number", "rows", "proposal", "Rows that the parent fails."),
    Fact("data.anchor_rows", "number", "rows", "proposal", "Rows that are anchors, as training contrast."),
    Fact(
        "data.mastered_rows", "number", "rows", "proposal", "Rows that the parent passes and that are no anchor rows."
    ),
    Fact("data.held_out_rows", "number", "rows", "proposal", "Rows from any split but surgery."),
    Fact(
        "data.held_out_hits",
        "number",
        "rows",
        "proposal",
        "Rows that are a held-out task told again: same program, same prompt, or same family.",
        "data.held_out_pairs",
    ),
    Fact("data.held_out_pairs", "list", "pairs", "proposal", "Which rows, and which held-out tasks; the first 20."),
    Fact(
        "data.near_hits",
        "number",
        "rows",
        "proposal",
        "Rows that are like a held-out task: half of its 10-grams, or MinHash similarity 0.7.",
        "data.near_pairs",
    ),
    Fact("data.near_pairs", "list", "pairs", "proposal", "Which rows, and which held-out tasks; the nearest 20."),
    Fact("training.loss", "number", "nats per token", "training", "Mean loss of the last quarter epoch."),
    Fact("training.loss_fraction", "number", "ratio", "training", "That loss over the first epoch's mean loss."),
    Fact("training.epochs", "number", "epochs", "training", "How often the rows were read."),
    Fact("training.steps", "number", "steps", "training", "Optimizer steps taken."),
    Fact("training.gradient_norm", "number", "1", "training", "The largest gradient norm before clipping."),
    Fact("smoke.tried", "number", "tasks", "smoke", "Held-out anchors that the adapter ran."),
    Fact("smoke.lost", "number", "tasks", "smoke", "Held-out anchors that the adapter fails."),
    Fact("pack.verified", "truth", "1", "promotion", "The packed file was read back and every digest held."),
    Fact("bench.tasks", "number", "tasks", "promotion", "Counted tasks that the pack ran."),
    Fact("bench.missing", "number", "tasks", "promotion", "Counted tasks that should have run and did not."),
    Fact("bench.fallbacks", "number", "answers", "promotion", "Answers that a fallback model gave."),
    Fact("bench.foreign", "number", "answers", "promotion", "Answers on counted benches not given by the organ."),
    Fact("bench.impossible_tried", "number", "tasks", "promotion", "Tasks with contradictory tests that were tried."),
    Fact(
        "bench.impossible_passed",
        "number",
        "tasks",
        "promotion",
        "Of these, those passed: each one a proof of cheating.",
    ),
    Fact(
        "bench.shared_tier",
        "number",
        "tasks",
        "promotion",
        "Tasks graded in the weaker tier, tests and program together.",
    ),
    Fact("bench.same_conditions", "truth", "1", "promotion", "Live and base were benched with the same fingerprint."),
    Fact(
        "bench.worst_net", "number", "tasks", "promotion", "Net wins over live on the worst counted bench, all splits."
    ),
    Fact("bench.worst_net_over_base", "number", "tasks", "promotion", "The same over the base."),
    Fact("anchors.lost", "number", "tasks", "promotion", "Confirmed wins of the live pack that the pack fails."),
    Fact("gate.tasks", "number", "tasks", "promotion", "Gate tasks that both packs ran."),
    Fact("gate.lost", "number", "tasks", "promotion", "Gate tasks that live wins and the pack fails."),
    Fact("gate.gained", "number", "tasks", "promotion", "Gate tasks that live fails and the pack wins."),
    Fact("gate.net", "number", "tasks", "promotion", "Gained minus lost on the gate."),
    Fact(
        "gate.net_split",
        "number",
        "tasks",
        "promotion",
        "The same on tasks that both packs had graded in the split tier.",
    ),
    Fact("gate.p_regression", "number", "probability", "promotion", "Exact one-sided McNemar for a loss on the gate."),
    Fact("watch.canary_tasks", "number", "tasks", "watch", "Canary tasks that both the old and the new live ran."),
    Fact("watch.canary_lost", "number", "tasks", "watch", "Canary tasks that the old live won and the new one fails."),
    Fact("watch.canary_net", "number", "tasks", "watch", "Gained minus lost on the canary split."),
    Fact("watch.anchors_tried", "number", "tasks", "watch", "Anchors that the new live ran again."),
    Fact("watch.anchors_lost", "number", "tasks", "watch", "Anchors that the new live fails."),
)
BY_NAME = {fact.name: fact for fact in FACTS}


def known_at(fact: Fact, phase: Phase) -> bool:
    """Whether the fact exists by then; the watch judges a live pack anew and sees only its own facts."""
    if phase == "watch" or fact.phase == "watch":
        return fact.phase == phase
    return PHASES.index(fact.phase) <= PHASES.index(phase)
