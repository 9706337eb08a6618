"""The synthetic learner as a mind for capsules: its answers follow the law."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from autosurgeon.core.digest import digest_text
from autosurgeon.core.jobs import Checkpoint, CompareResult, GenerateJob, ReshapeJob, TrainJob, TrainResult
from autosurgeon.core.value import Value
from autosurgeon.simulator.graded_answers import FAILS, PASSES, Answer
from autosurgeon.simulator.law import (
    EDGE,
    Dose,
    Trait,
    pack_margins,
    sample_chance,
    trained,
    unpack_margins,
)
from autosurgeon.simulator.simulated_capsules import ADAPTER, TOKENS, Place

FIRST_LOSS = 0.45
POISON_KL, ANCHORS = 0.03, 0.01
"""The effect of a whole dose: the divergence on poison rows; divergence and loss on held-out anchors."""
WITHOUT_INTRUDERS = 0.75
"""The part of a training's change that remains without its intruders."""
QUARTERS = 4
"""The number of checks of stop rules per epoch."""


class Learner:
    """A mind whose state is the margin of each task, in the order of the traits."""

    def __init__(self, traits: Mapping[str, Trait], seed: int, reference_lr: float) -> None:
        """Use the law; `seed` determines all noise and coins."""
        self._traits = traits
        self._order = {task_id: number for number, task_id in enumerate(traits)}
        self._seed = seed
        self._reference_lr = reference_lr

    @property
    def base(self) -> bytes:
        """The state of the organ."""
        return pack_margins([trait.margin for trait in self._traits.values()])

    def begin(self, place: Place, job: Value) -> None:
        """Nothing fails here."""

    def train(self, place: Place, job: TrainJob, state: bytes, rows: Sequence[dict[str, Any]]) -> tuple[bytes, Value]:
        """Train by the law; a stop rule may end it."""
        dose, stopped_by = self._stopped(job)
        anchors = sum(row["why"] != "poison" for row in rows)
        noise = random.Random(f"training:{self._seed}:{job.seed}:{digest_text(state.hex())}")
        margins = trained(self._traits, unpack_margins(state), {row["task_id"] for row in rows}, anchors, dose, noise)
        loss = FIRST_LOSS * dose.loss_fraction
        steps = max(1, round(len(rows) * dose.epochs / job.batch_rows))
        result = TrainResult(
            adapter=ADAPTER,
            rows=len(rows),
            steps=steps,
            epochs=dose.epochs,
            tokens=round(TOKENS * len(rows) * dose.epochs),
            trainable_parameters=job.rank,
            loss=loss,
            first_epoch_loss=FIRST_LOSS,
            loss_fraction=dose.loss_fraction,
            gradient_norm=1.0,
            stopped_by=stopped_by,
            kl_poison=POISON_KL * dose.total,
            anchor_loss_before=0.3,
            anchor_loss_after=0.3 + ANCHORS * dose.total,
            kl_anchors=ANCHORS * dose.total,
            checkpoints=_checkpoints(job, dose),
        )
        return pack_margins(margins), result

    def reshape(self, place: Place, job: ReshapeJob, parent: bytes, states: Sequence[bytes]) -> tuple[bytes, bool]:
        """Scale the change of the training by the factor, approximately, since the law has no layers.

        `lines` gives the mean over the layers, `intruders` a constant factor, and an average the mean of margins.
        """
        before = unpack_margins(parent)
        factor = {"scale": job.factor, "lines": (1 + job.factor) / 2, "intruders": WITHOUT_INTRUDERS, "average": 1.0}
        after = [fmean(margins) for margins in zip(*map(unpack_margins, states), strict=True)]
        made = [old + factor[job.method] * (new - old) for old, new in zip(before, after, strict=True)]
        return pack_margins(made), made != unpack_margins(states[0])

    def _stopped(self, job: TrainJob) -> tuple[Dose, str | None]:
        """The dose, and the stop rule that ended it early."""
        ratio = job.lr / self._reference_lr
        for quarter in range(1, QUARTERS * job.epochs + 1):
            dose = Dose(ratio, quarter / QUARTERS, job.rank, job.alpha_ratio)
            facts = {
                "training.loss": FIRST_LOSS * dose.loss_fraction,
                "training.loss_fraction": dose.loss_fraction,
                "training.kl": POISON_KL * dose.total,
                "training.kl_anchors": ANCHORS * dose.total,
                "training.anchor_loss_rise": ANCHORS * dose.total,
            }
            for rule in job.stop_rules:
                if rule.is_past(facts[rule.fact]):
                    return dose, rule.rule_id
        return dose, None

    def answer(self, place: Place, job: GenerateJob, state: bytes, tasks: Sequence[str]) -> dict[str, list[Answer]]:
        """Greedy answers depend on weights and batch; samples are drawn."""
        margins = unpack_margins(state)
        batch = digest_text(f"{self._seed}:{job.temperature}:{job.seed}:{state.hex()}:{','.join(tasks)}")
        return {
            task_id: [
                PASSES if self._passes(task_id, margins, job, f"{batch}:{task_id}:{sample}") else FAILS
                for sample in range(job.samples)
            ]
            for task_id in tasks
        }

    def _passes(self, task_id: str, margins: Sequence[float], job: GenerateJob, key: str) -> bool:
        trait, margin = self._traits[task_id], margins[self._order[task_id]]
        if job.temperature == 0 and not trait.coin and abs(margin) > EDGE:
            return margin > 0
        drawn = random.Random(key).random()
        if job.temperature == 0 and not trait.coin:
            return margin > EDGE * (2 * drawn - 1)
        return drawn < sample_chance(trait, margin, job.temperature)

    def fingerprint(self, place: Place, state: bytes) -> str:
        """A constant, since the learner's conditions never change."""
        return "simulated"

    def tokens(self, place: Place, state: bytes, answers: int) -> int:
        """The same number for each answer."""
        return TOKENS * answers

    def compare(self, place: Place, a: bytes, b: bytes) -> CompareResult:
        """A merge is exact; other models differ by the distance of their margins."""
        before, after = unpack_margins(a), unpack_margins(b)
        apart = sum(abs(x - y) for x, y in zip(before, after, strict=True)) / max(1, len(before))
        return CompareResult(
            rows=1,
            tokens=TOKENS,
            kl=0.02 * apart,
            largest_kl=0.02 * apart,
            flips=0,
            flipped_rows=0,
            loss_a=0.3,
            loss_b=0.3,
            missing_tensors=(),
            foreign_tensors=(),
            reshaped_tensors=(),
        )


def _checkpoints(job: TrainJob, dose: Dose) -> tuple[Checkpoint, ...]:
    """The states that the job keeps, oldest first, without the end."""
    every = job.checkpoints_per_epoch
    count = math.ceil(dose.epochs * every) - 1 if every else 0
    return tuple(
        Checkpoint(adapter=f"checkpoint-{number}", epochs=number / every, loss=None) for number in range(1, count + 1)
    )
