"""The training loop: from fresh weights or a checkpoint to the last step, or until a stop rule ends it."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import torch

from autosurgeon.capsule.adapters import CheckpointFolder, checkpoint_name
from autosurgeon.capsule.batches import TokenRow, batches_by_length
from autosurgeon.capsule.distributed import Ranks
from autosurgeon.capsule.loss_meter import LossMeter
from autosurgeon.capsule.optimizer import make_optimizer
from autosurgeon.capsule.parent import ParentGauge
from autosurgeon.capsule.prove_training import prove_training
from autosurgeon.capsule.training_checkpoint import Learner, Reached, TrainingFolder
from autosurgeon.capsule.training_step import Stepper
from autosurgeon.capsule.workdir import Progress
from autosurgeon.core.jobs import Checkpoint, TrainJob
from autosurgeon.failpoints import reach

WARM_UP_STEPS = 3
MAX_GRADIENT_NORM = 1.0


class Fit(NamedTuple):
    """The state at the end of training: losses, counts, and the rule that ended it early."""

    meter: LossMeter
    steps: int
    tokens: int
    largest_norm: float
    stopped_by: str | None
    checkpoints: tuple[Checkpoint, ...] = ()
    """Intermediate adapters, oldest first."""
    replaced: tuple[str, ...] = ()
    """The fast pieces in whose place transformers' own were used."""


def marks(steps_per_epoch: int, epochs: int, every_epochs: Fraction) -> list[int]:
    """Return the steps at each multiple of a part of an epoch, in order, without the very last step."""
    every = max(every_epochs, Fraction(1, steps_per_epoch))  # at least one step
    found = {math.ceil(number * every * steps_per_epoch) for number in range(1, int(epochs / every) + 1)}
    return sorted(found - {steps_per_epoch * epochs})


def _rate(job: TrainJob, step: int, steps: int) -> float:
    """Return the learning rate of a step: linear warm-up, then linear decay to a twentieth."""
    return job.lr * (min(1.0, (step + 1) / WARM_UP_STEPS) * max(0.05, 1 - step / steps))


def _batches(job: TrainJob, rows: list[TokenRow]) -> list[list[TokenRow]]:
    """Return the rows of every step of every epoch, as the seed determines them."""
    rng = random.Random(job.seed)
    return [batch for _ in range(job.epochs) for batch in batches_by_length(rows, job.batch_rows, rng)]


class _Training:
    """A model in training, step by step."""

    def __init__(
        self, job: TrainJob, model: Any, rows: list[TokenRow], ranks: Ranks, gauge: ParentGauge, workdir: Path
    ) -> None:
        self._job, self._model, self._ranks, self._gauge = job, model, ranks, gauge
        self._order = _batches(job, rows)
        named = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self._weights = list(named.values())
        ranks.broadcast_weights(self._weights)
        self._learner = Learner(named, make_optimizer(job.optimizer, self._weights, job.lr))
        model.train()
        lengths = [len(row.ids) for row in rows]
        passes, self._replaced = prove_training(model, max(lengths))
        self._epoch_steps = len(self._order) // job.epochs
        self._stepper = Stepper(
            model,
            pack_tokens=job.pack_tokens,
            step_tokens=sum(lengths) / self._epoch_steps / ranks.size,
            longest=max(lengths),
            kl_weight=job.kl_weight,
            loss=job.loss,
            passes=passes,
        )
        self._meter, self._losses, self._largest_norm = LossMeter(self._epoch_steps), list[float](), 0.0
        self._folder = None if job.state is None else TrainingFolder(job, model.device)
        self._plan_measurements(workdir)

    def _plan_measurements(self, workdir: Path) -> None:
        """Choose the steps after which the model is compared with its parent, and after which it is saved."""
        job, steps = self._job, self._epoch_steps
        every = Fraction(job.measure_every_epochs).limit_denominator(1000)
        self._gauge_after = frozenset(marks(steps, job.epochs, every) if job.parent_facts else ())
        per_epoch = job.checkpoints_per_epoch
        self._save_after = frozenset(marks(steps, job.epochs, Fraction(1, per_epoch)) if per_epoch else ())
        self._checkpoints, self._saved = list[Checkpoint](), list[str]()
        self._checkpoint_folder = CheckpointFolder(workdir if job.state is None else job.state.folder, workdir)

    def run(self, progress: Progress | None) -> Fit:
        """Take the remaining steps."""
        if self._folder is not None and (reached := self._folder.restore(self._learner)) is not None:
            self._resume(reached)
        self._ranks.check_same_step(len(self._losses))
        done, steps = len(self._losses), len(self._order)
        tokens = sum(len(row.ids) for batch in self._order[:done] for row in batch)
        packs = self._stepper.prepare(self._ranks.share(self._order[done])) if done < steps else []
        for step, batch in enumerate(self._order[done:], start=done):
            found = self._stepper.backward(packs, batch)
            packs = self._stepper.prepare(self._ranks.share(self._order[step + 1])) if step + 1 < steps else []
            norm, loss = self._step(found, _rate(self._job, step, steps))
            tokens += sum(len(row.ids) for row in batch)
            if progress is not None:
                progress.step(step + 1, force=True, loss=round(loss, 5), gradient_norm=round(norm, 4), tokens=tokens)
            measured = self._gauge.facts() if step + 1 in self._gauge_after else {}
            stopped_by = self._meter.broken_rule(self._job.stop_rules, measured)
            if stopped_by is not None or self._meter.loss is None:
                return self._fit(tokens, stopped_by)
            self._save_adapter()
            self._write_checkpoint()
        return self._fit(tokens, None)

    def _step(self, found: torch.Tensor, rate: float) -> tuple[float, float]:
        """Sum the gradients of the ranks, clip, and step; return the gradient's norm and the loss."""
        found = self._ranks.sum_gradients(self._weights, found)
        norm = float(torch.nn.utils.clip_grad_norm_(self._weights, MAX_GRADIENT_NORM))
        self._learner.optimizer.param_groups[0]["lr"] = rate
        self._learner.optimizer.step()
        loss = float(found)
        self._largest_norm = max(self._largest_norm, norm) if math.isfinite(norm) else math.inf
        self._losses.append(loss)
        self._meter.add(loss)
        return norm, loss

    def _resume(self, reached: Reached) -> None:
        self._largest_norm, self._saved = reached.largest_norm, list(reached.saved)
        for loss in reached.losses:
            self._losses.append(loss)
            self._meter.add(loss)
            self._note_checkpoint()
        self._stepper.use(reached.pack_tokens, checkpointed=reached.checkpointed)

    def _note_checkpoint(self) -> bool:
        """Record an intermediate adapter if this step has one, and return whether it has."""
        step = len(self._losses)
        if step not in self._save_after:
            return False
        name = checkpoint_name(len(self._checkpoints) + 1)
        self._checkpoints.append(Checkpoint(adapter=name, epochs=step / self._epoch_steps, loss=self._meter.loss))
        return True

    def _save_adapter(self) -> None:
        """Save the intermediate adapter of this step, if any, before a checkpoint lists it."""
        if self._note_checkpoint() and self._ranks.rank == 0:
            self._saved.append(self._checkpoint_folder.save(self._model, len(self._checkpoints)))
            reach("training-checkpoint-saved")

    def _write_checkpoint(self) -> None:
        """Write a checkpoint if it is due; only the first rank does, because all have the same state."""
        if self._folder is not None and self._ranks.rank == 0 and self._folder.is_due():
            reached = Reached(
                losses=tuple(self._losses),
                largest_norm=self._largest_norm,
                pack_tokens=self._stepper.pack_tokens,
                checkpointed=self._stepper.checkpointed,
                saved=tuple(self._saved),
            )
            self._folder.write(self._learner, reached)

    def _fit(self, tokens: int, stopped_by: str | None) -> Fit:
        if self._ranks.rank == 0:
            self._checkpoint_folder.deliver(len(self._checkpoints))
        steps, norm = len(self._losses), self._largest_norm
        return Fit(self._meter, steps, tokens, norm, stopped_by, tuple(self._checkpoints), self._replaced)


def fit(
    job: TrainJob,
    model: Any,
    rows: list[TokenRow],
    progress: Progress | None,
    ranks: Ranks,
    gauge: ParentGauge,
    workdir: Path,
) -> Fit:
    """Train the adapter in place until the last step, a stop rule's bound or a loss that is not finite.

    Args:
        job: the training.
        model: the base with a fresh adapter.
        rows: the rows to train on.
        progress: receives every step.
        ranks: this process and the others that share the rows of a step.
        gauge: compares the model with its parent, if a stop rule needs it.
        workdir: the folder for intermediate adapters.

    """
    return _Training(job, model, rows, ranks, gauge, workdir).run(progress)
