"""One LoRA pass over prompt and completion rows, as the recipe says, until it is read or a stop rule speaks."""

from __future__ import annotations

import json
import math
import random
from collections import deque
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model

from autosurgeon.capsule.batches import batches_by_length, to_tensors, tokenize_rows
from autosurgeon.capsule.checkpoint import open_model, open_tokenizer
from autosurgeon.capsule.workdir import Progress, read_jsonl, write_whole
from autosurgeon.core.jobs import StopRule, TrainJob, TrainResult
from autosurgeon.core.recipe import Quantization
from autosurgeon.errors import UserError

WARM_UP_STEPS = 3
MAX_GRADIENT_NORM = 1.0
WINDOWS_PER_EPOCH = 4  # the reported loss is the mean over the last quarter of an epoch


class LossMeter:
    """What the stop rules look at: the mean loss of the last window, and its share of the first epoch's."""

    def __init__(self, steps_per_epoch: int) -> None:
        self._steps_per_epoch = steps_per_epoch
        self._window: deque[float] = deque(maxlen=max(1, steps_per_epoch // WINDOWS_PER_EPOCH))
        self._first_epoch: list[float] = []

    def add(self, loss: float) -> None:
        """Count one step."""
        self._window.append(loss)
        if len(self._first_epoch) < self._steps_per_epoch:
            self._first_epoch.append(loss)

    @property
    def loss(self) -> float | None:
        """Mean over the window; None when it is not a finite number."""
        return _finite(sum(self._window) / len(self._window)) if self._window else None

    @property
    def first_epoch_loss(self) -> float | None:
        """Mean over the first epoch, or what there is of it."""
        return _finite(sum(self._first_epoch) / len(self._first_epoch)) if self._first_epoch else None

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


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


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


def train(job: TrainJob, workdir: Path) -> TrainResult:
    """Train and save to `adapter/`; a loss that is no number ends training and is reported as None."""
    tokenizer = open_tokenizer(job.base)
    pairs = [(row["prompt"], row["completion"]) for row in read_jsonl(job.rows)]
    rows = tokenize_rows(tokenizer, pairs, job.max_tokens)
    if not rows:
        raise UserError("there is nothing to train on", got="0 rows", where=job.rows)
    model = _adapted(job)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=job.lr, weight_decay=0.0)
    steps_per_epoch = math.ceil(len(rows) / job.batch_rows)
    steps = steps_per_epoch * job.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / WARM_UP_STEPS) * max(0.05, 1 - step / steps)
    )
    rng, meter, progress = random.Random(job.seed), LossMeter(steps_per_epoch), Progress(workdir, steps)
    step, tokens, largest_norm, stopped_by = 0, 0, 0.0, None
    model.train()
    while step < steps and stopped_by is None:
        for batch in batches_by_length(rows, job.batch_rows, rng):
            loss = model(**to_tensors(batch, tokenizer.pad_token_id, model.device)).loss
            loss.backward()
            norm = float(torch.nn.utils.clip_grad_norm_(weights, MAX_GRADIENT_NORM))
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            step, tokens = step + 1, tokens + sum(len(row.ids) for row in batch)
            largest_norm = max(largest_norm, norm) if math.isfinite(norm) else math.inf
            meter.add(loss.item())
            progress.step(step, force=True, loss=round(loss.item(), 5), gradient_norm=round(norm, 4), tokens=tokens)
            stopped_by = meter.broken_rule(job.stop_rules)
            if stopped_by is not None or meter.loss is None:
                break
        if meter.loss is None:
            break
    progress.close()
    _save(model, workdir / "adapter")
    return TrainResult(
        adapter="adapter",
        rows=len(rows),
        steps=step,
        epochs=step / steps_per_epoch,
        tokens=tokens,
        trainable_parameters=sum(p.numel() for p in weights),
        loss=meter.loss,
        first_epoch_loss=meter.first_epoch_loss,
        loss_fraction=meter.loss_fraction,
        gradient_norm=_finite(largest_norm),
        stopped_by=stopped_by,
    )
