"""One LoRA pass over prompt and completion rows, as the recipe says, until it is read or a stop rule speaks."""

from __future__ import annotations

import json
import math
import random
from collections import deque
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import LoraConfig, get_peft_model

from autosurgeon.capsule.batches import TokenRow, batches_by_length, tokenize_rows
from autosurgeon.capsule.checkpoint import open_model, open_tokenizer
from autosurgeon.capsule.divergence import Divergence, bounded_batches, finite, predictor, score_batches
from autosurgeon.capsule.lora import stop_training_fast, train_adapters_fast
from autosurgeon.capsule.optimizer import make_optimizer
from autosurgeon.capsule.step import Stepper
from autosurgeon.capsule.workdir import Progress, beat, read_rows, write_whole
from autosurgeon.core.jobs import StopRule, TrainJob, TrainResult
from autosurgeon.core.recipe import Quantization
from autosurgeon.errors import UserError

WARM_UP_STEPS = 3
MAX_GRADIENT_NORM = 1.0
MAX_MEASURED_ROWS = 64  # of a kind: a mean over their tokens moves by less than what a policy would act on
MEASURED_BATCHES = 4  # batches of training in one of measuring, which keeps no activations for gradients
WINDOWS_PER_EPOCH = 4  # the reported loss is the mean over the last quarter of an epoch


class LossMeter:
    """What the stop rules look at: the mean loss of the last window, and its share of the first epoch's."""

    def __init__(self, steps_per_epoch: int) -> None:
        self._steps_per_epoch = steps_per_epoch
        self._window: deque[float] = deque(maxlen=max(1, steps_per_epoch // WINDOWS_PER_EPOCH))
        self._first_epoch: list[float] = []
        self._epoch: list[float] = []
        self.epoch_losses: list[float] = []

    def add(self, loss: float) -> None:
        """Count one step."""
        self._window.append(loss)
        if len(self._first_epoch) < self._steps_per_epoch:
            self._first_epoch.append(loss)
        self._epoch.append(loss)
        if len(self._epoch) == self._steps_per_epoch:
            mean = sum(self._epoch) / self._steps_per_epoch
            self.epoch_losses += [mean] if math.isfinite(mean) else []  # one that broke was not read to its end
            self._epoch.clear()

    @property
    def loss(self) -> float | None:
        """Mean over the window; None when it is not a finite number."""
        return finite(sum(self._window) / len(self._window)) if self._window else None

    @property
    def first_epoch_loss(self) -> float | None:
        """Mean over the first epoch, or what there is of it."""
        return finite(sum(self._first_epoch) / len(self._first_epoch)) if self._first_epoch else None

    @property
    def loss_fraction(self) -> float | None:
        """Window over first epoch; 1 until the first epoch is over."""
        if len(self._first_epoch) < self._steps_per_epoch:
            return 1.0
        loss, first = self.loss, self.first_epoch_loss
        return None if loss is None or not first else loss / first

    def broken_rule(self, rules: tuple[StopRule, ...]) -> str | None:
        """The first rule whose bound is passed."""
        facts = {"training.loss": self.loss, "training.loss_fraction": self.loss_fraction}
        for rule in rules:
            observed = facts[rule.fact]
            if observed is not None and observed < rule.at_least:
                return rule.rule_id
        return None


def linear_layers(model: Any) -> list[str]:
    """The last names of the model's linear layers but the output one, sorted, so that configs compare equal."""
    names = {name.rsplit(".", 1)[-1] for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    return sorted(names - {"lm_head"})


def _adapted(job: TrainJob) -> Any:
    model = open_model(job.base, nf4=job.quantization == Quantization.NF4)
    torch.manual_seed(job.seed)
    config = LoraConfig(
        r=job.rank,
        lora_alpha=round(job.alpha_ratio * job.rank),
        use_rslora=job.rslora,
        target_modules=linear_layers(model),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def _save(model: Any, folder: Path) -> None:
    """Save the adapter, its config in one spelling: no path of this machine, lists sorted."""
    model.save_pretrained(folder)
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = None
    config["target_modules"] = sorted(config["target_modules"])
    write_whole(folder / "adapter_config.json", json.dumps(config, indent=1, sort_keys=True) + "\n")
    (folder / "README.md").unlink(missing_ok=True)


class Rows(NamedTuple):
    """What is learned, and what the tuned model and its parent are held against each other on."""

    learned: list[TokenRow]
    poison: list[TokenRow]
    probe: list[TokenRow]


def evenly_spaced(rows: list[TokenRow], most: int = MAX_MEASURED_ROWS) -> list[TokenRow]:
    """At most `most` of the rows, over all of their order: files are sorted by bench, and each should be there."""
    return [rows[index * len(rows) // most] for index in range(most)] if len(rows) > most else rows


def _read(job: TrainJob, tokenizer: Any) -> Rows:
    taught = read_rows(job.rows)
    probe = [] if job.probe is None else read_rows(job.probe)
    if not taught:
        raise UserError("there is nothing to train on", got="0 rows", where=job.rows)

    def tokenized(rows: list[dict[str, Any]]) -> list[TokenRow]:
        return tokenize_rows(tokenizer, [(row["prompt"], row["completion"]) for row in rows], job.max_tokens)

    learned = tokenized(taught)
    poison = [tokens for tokens, row in zip(learned, taught, strict=True) if row.get("why") == "poison"]
    return Rows(learned, evenly_spaced(poison), evenly_spaced(tokenized(probe)))


class Fit(NamedTuple):
    """What training left: its losses, how far it came, and why it ended early."""

    meter: LossMeter
    steps: int
    tokens: int
    largest_norm: float
    stopped_by: str | None


def _fit(job: TrainJob, model: Any, rows: list[TokenRow], progress: Progress) -> Fit:
    """Train the adapter in place until the rows are read, a stop rule speaks or the loss is no number."""
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = make_optimizer(job.optimizer, weights, job.lr)
    steps_per_epoch = math.ceil(len(rows) / job.batch_rows)
    steps = steps_per_epoch * job.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / WARM_UP_STEPS) * max(0.05, 1 - step / steps)
    )
    rng, meter = random.Random(job.seed), LossMeter(steps_per_epoch)
    step, tokens, largest_norm, stopped_by = 0, 0, 0.0, None
    model.train()
    if model.device.type == "cuda":
        train_adapters_fast(model)
    lengths = [len(row.ids) for row in rows]
    step_tokens = sum(lengths) / steps_per_epoch
    stepper = Stepper(model, pack_tokens=job.pack_tokens, step_tokens=step_tokens, longest=max(lengths))
    for _ in range(job.epochs):
        batches = batches_by_length(rows, job.batch_rows, rng)
        packs = stepper.prepare(batches[0])
        for batch, following in zip_longest(batches, batches[1:]):
            found = stepper.backward(packs)
            packs = stepper.prepare(following or ())
            norm = float(torch.nn.utils.clip_grad_norm_(weights, MAX_GRADIENT_NORM))
            optimizer.step()
            schedule.step()
            loss = float(found)
            step, tokens = step + 1, tokens + sum(len(row.ids) for row in batch)
            largest_norm = max(largest_norm, norm) if math.isfinite(norm) else math.inf
            meter.add(loss)
            progress.step(step, force=True, loss=round(loss, 5), gradient_norm=round(norm, 4), tokens=tokens)
            stopped_by = meter.broken_rule(job.stop_rules)
            if stopped_by is not None or meter.loss is None:
                return Fit(meter, step, tokens, largest_norm, stopped_by)
    return Fit(meter, step, tokens, largest_norm, stopped_by)


def _held_against_parent(job: TrainJob, model: Any, rows: list[TokenRow], tokenizer: Any, workdir: Path) -> Divergence:
    """The tuned model (a) against the same one with its adapter disabled (b), which is the parent: no second load."""
    tuned = predictor(model, tokenizer.pad_token_id)

    def parent(batch: list[TokenRow]) -> torch.Tensor:
        with model.disable_adapter():
            return tuned(batch)

    model.eval()
    batches = bounded_batches(rows, MEASURED_BATCHES * job.batch_rows, len(tokenizer))
    return score_batches(tuned, parent, batches, lambda done: beat(workdir))


def train(job: TrainJob, workdir: Path) -> TrainResult:
    """Train and save to `adapter/`, then measure what it did to the parent.

    A loss that is no number ends training and is reported as None.

    Raises:
        UserError: there are no rows, or one has no prompt or completion.
        PackError: there is no base.

    """
    tokenizer = open_tokenizer(job.base)
    rows = _read(job, tokenizer)
    beat(workdir)
    model = _adapted(job)
    beat(workdir)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    steps_per_epoch = math.ceil(len(rows.learned) / job.batch_rows)
    progress = Progress(workdir, steps_per_epoch * job.epochs)
    fit = _fit(job, model, rows.learned, progress)
    stop_training_fast(model)
    progress.close()
    _save(model, workdir / "adapter")
    beat(workdir)
    poison = _held_against_parent(job, model, rows.poison, tokenizer, workdir)
    probe = _held_against_parent(job, model, rows.probe, tokenizer, workdir)
    return TrainResult(
        adapter="adapter",
        rows=len(rows.learned),
        steps=fit.steps,
        epochs=fit.steps / steps_per_epoch,
        tokens=fit.tokens,
        trainable_parameters=trainable,
        loss=fit.meter.loss,
        first_epoch_loss=fit.meter.first_epoch_loss,
        loss_fraction=fit.meter.loss_fraction,
        gradient_norm=finite(fit.largest_norm),
        stopped_by=fit.stopped_by,
        epoch_losses=tuple(fit.meter.epoch_losses),
        kl_poison=poison.kl,
        anchor_loss_before=probe.loss_b,
        anchor_loss_after=probe.loss_a,
    )
