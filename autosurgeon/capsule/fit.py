"""The steps of training: from fresh weights, or from a state that was kept, to the end or to where a rule says stop."""

from __future__ import annotations

import math
import random
from typing import Any, NamedTuple

import torch

from autosurgeon.capsule.batches import TokenRow, batches_by_length, learned_tokens
from autosurgeon.capsule.lora import train_adapters_fast
from autosurgeon.capsule.meter import LossMeter
from autosurgeon.capsule.optimizer import make_optimizer
from autosurgeon.capsule.ranks import Ranks
from autosurgeon.capsule.resume import Learner, Reached, TrainingFolder
from autosurgeon.capsule.step import Stepper
from autosurgeon.capsule.workdir import Progress
from autosurgeon.core.jobs import TrainJob

WARM_UP_STEPS = 3
MAX_GRADIENT_NORM = 1.0


class Fit(NamedTuple):
    """What training left: its losses, how far it came, and why it ended early."""

    meter: LossMeter
    steps: int
    tokens: int
    largest_norm: float
    stopped_by: str | None


def _rate(job: TrainJob, step: int, steps: int) -> float:
    """The learning rate of a step: up over the first few, then down to a twentieth."""
    return job.lr * (min(1.0, (step + 1) / WARM_UP_STEPS) * max(0.05, 1 - step / steps))


def _reading_order(job: TrainJob, rows: list[TokenRow]) -> list[list[TokenRow]]:
    """The rows of every step of every epoch, which follow from the seed."""
    rng = random.Random(job.seed)
    return [batch for _ in range(job.epochs) for batch in batches_by_length(rows, job.batch_rows, rng)]


class _Training:
    """A model in training, one step after another."""

    def __init__(self, job: TrainJob, model: Any, rows: list[TokenRow], ranks: Ranks) -> None:
        self._job, self._ranks = job, ranks
        self._order = _reading_order(job, rows)
        named = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self._weights = list(named.values())
        ranks.start_alike(self._weights)
        self._learner = Learner(named, make_optimizer(job.optimizer, self._weights, job.lr))
        model.train()
        if model.device.type == "cuda":
            train_adapters_fast(model)
        lengths = [len(row.ids) for row in rows]
        steps_per_epoch = len(self._order) // job.epochs
        step_tokens = sum(lengths) / steps_per_epoch / ranks.size
        self._stepper = Stepper(model, pack_tokens=job.pack_tokens, step_tokens=step_tokens, longest=max(lengths))
        self._meter, self._losses, self._largest_norm = LossMeter(steps_per_epoch), list[float](), 0.0
        self._folder = None if job.state is None else TrainingFolder(job, model.device)

    def go_on(self, progress: Progress | None) -> Fit:
        """Take the steps that are left."""
        if self._folder is not None and (reached := self._folder.restore(self._learner)) is not None:
            self._take_up(reached)
        self._ranks.agree_on(len(self._losses))
        done, steps = len(self._losses), len(self._order)
        tokens = sum(len(row.ids) for batch in self._order[:done] for row in batch)
        packs = self._stepper.prepare(self._ranks.share(self._order[done])) if done < steps else []
        for step, batch in enumerate(self._order[done:], start=done):
            found = self._stepper.backward(packs, sum(map(learned_tokens, batch)))
            packs = self._stepper.prepare(self._ranks.share(self._order[step + 1])) if step + 1 < steps else []
            norm, loss = self._step(found, _rate(self._job, step, steps))
            tokens += sum(len(row.ids) for row in batch)
            if progress is not None:
                progress.step(step + 1, force=True, loss=round(loss, 5), gradient_norm=round(norm, 4), tokens=tokens)
            stopped_by = self._meter.broken_rule(self._job.stop_rules)
            if stopped_by is not None or self._meter.loss is None:
                return self._fit(tokens, stopped_by)
            self._keep()
        return self._fit(tokens, None)

    def _step(self, found: torch.Tensor, rate: float) -> tuple[float, float]:
        """Add up what the ranks found, clip, and step; the gradient's norm and the loss."""
        found = self._ranks.add_up(self._weights, found)
        norm = float(torch.nn.utils.clip_grad_norm_(self._weights, MAX_GRADIENT_NORM))
        self._learner.optimizer.param_groups[0]["lr"] = rate
        self._learner.optimizer.step()
        loss = float(found)
        self._largest_norm = max(self._largest_norm, norm) if math.isfinite(norm) else math.inf
        self._losses.append(loss)
        self._meter.add(loss)
        return norm, loss

    def _take_up(self, reached: Reached) -> None:
        self._losses, self._largest_norm = list(reached.losses), reached.largest_norm
        for loss in self._losses:
            self._meter.add(loss)
        self._stepper.use(reached.pack_tokens, checkpointed=reached.checkpointed)

    def _keep(self) -> None:
        """Write the state down where it is time to; one rank does, since all have the same."""
        if self._folder is not None and self._ranks.rank == 0 and self._folder.is_due():
            reached = Reached(
                losses=tuple(self._losses),
                largest_norm=self._largest_norm,
                pack_tokens=self._stepper.pack_tokens,
                checkpointed=self._stepper.checkpointed,
            )
            self._folder.write(self._learner, reached)

    def _fit(self, tokens: int, stopped_by: str | None) -> Fit:
        return Fit(self._meter, len(self._losses), tokens, self._largest_norm, stopped_by)


def fit(job: TrainJob, model: Any, rows: list[TokenRow], progress: Progress | None, ranks: Ranks) -> Fit:
    """Train the adapter in place until the rows are read, a stop rule speaks or the loss is no number.

    Args:
        job: the training.
        model: with a fresh adapter on top.
        rows: that are learned.
        progress: told of every step.
        ranks: who shares the rows of a step with this process.

    """
    return _Training(job, model, rows, ranks).go_on(progress)
