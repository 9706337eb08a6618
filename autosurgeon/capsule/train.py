"""LoRA training on prompt and completion rows, to the end of the last epoch or until a stop rule ends it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import LoraConfig, get_peft_model
from transformers.pytorch_utils import Conv1D

from autosurgeon.capsule.adapters import save_adapter
from autosurgeon.capsule.batches import TokenRow, tokenize_rows
from autosurgeon.capsule.distributed import SINGLE, Ranks
from autosurgeon.capsule.divergence import finite
from autosurgeon.capsule.load_checkpoint import open_model, open_tokenizer
from autosurgeon.capsule.lora import use_own_layers
from autosurgeon.capsule.parent import Pair, ParentGauge, Sample, evenly_spaced, mask_unlikely, pair_of
from autosurgeon.capsule.training_loop import fit
from autosurgeon.capsule.workdir import Progress, beat, read_rows
from autosurgeon.core.jobs import TrainJob, TrainResult
from autosurgeon.core.recipe import Quantization
from autosurgeon.errors import UserError

MAMBA = {"falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h"}
"""Kinds of models whose kernels read the weight of `out_proj` without its forward pass, so that peft refuses it."""
EXPERT_LAYERS = {"gate_proj", "up_proj", "down_proj", "w1", "w2", "w3"}
"""Names that peft takes for the experts of a mixture, which are one tensor and cannot be merged as a matrix."""


def linear_layers(model: Any) -> list[str]:
    """Return the last names of the layers to train, sorted, so that configs compare equal.

    They are all linear layers except the output, routers, and the MLPs of a model with experts.
    """
    output = model.get_output_embeddings()
    names = {
        _last_name(name)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D)
        and module is not output
        and "Router" not in type(module).__name__  # it returns choices besides its product
    }
    if model.config.model_type in MAMBA:
        names -= {"out_proj"}
    if any("experts" in name and weight.dim() == 3 for name, weight in model.named_parameters()):
        names -= EXPERT_LAYERS
    return sorted(names)


def _last_name(name: str) -> str:
    """Return the last part of a module's name, with the part before a number, because layers have numbers too."""
    parts = name.split(".")
    return ".".join(parts[-2:] if parts[-1].isdigit() else parts[-1:])


def disable_dropout(model: Any) -> None:
    """Set every probability of dropout to zero, because packed rows have another order of draws than single ones."""
    for module in model.modules():
        is_dropout = isinstance(module, torch.nn.Dropout)
        for name, value in list(vars(module).items()):
            if type(value) is float and ("drop" in name or (is_dropout and name == "p")):
                setattr(module, name, 0.0)


def _adapted(job: TrainJob) -> Any:
    model = open_model(job.base, nf4=job.quantization == Quantization.NF4)
    layers = linear_layers(model)
    if not layers:
        raise UserError("a model has no linear layers to train", got=model.config.model_type, where=job.base)
    disable_dropout(model)
    torch.manual_seed(job.seed)
    config = LoraConfig(
        r=job.rank,
        lora_alpha=round(job.alpha_ratio * job.rank),
        use_rslora=job.rslora,
        target_modules=layers,
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


class Rows(NamedTuple):
    """The rows to train on, and the rows on which the tuned model is compared with its parent."""

    trained: list[TokenRow]
    sample: Sample


def _read(job: TrainJob, tokenizer: Any) -> Rows:
    rows = read_rows(job.rows)
    probe = [] if job.probe is None else read_rows(job.probe)
    if not rows:
        raise UserError("there is nothing to train on", got="0 rows", where=job.rows)

    def tokenized(rows: list[dict[str, Any]]) -> list[TokenRow]:
        return tokenize_rows(tokenizer, [(row["prompt"], row["completion"]) for row in rows], job.max_tokens, job.chat)

    reasons = [row.get("why") for row in rows]
    weights = [float(row.get("weight", 1.0)) for row in rows]
    trained = [
        tokens._replace(is_anchor=why == "anchor", weight=weight)
        for tokens, why, weight in zip(tokenized(rows), reasons, weights, strict=True)
    ]
    poison = [tokens for tokens, why in zip(trained, reasons, strict=True) if why == "poison"]
    return Rows(trained, Sample(evenly_spaced(poison), evenly_spaced(tokenized(probe))))


class _SetUp(NamedTuple):
    """A model with a fresh adapter, ready to train."""

    rows: Rows
    model: Any
    pair: Pair
    gauge: ParentGauge


def _set_up(job: TrainJob, workdir: Path, ranks: Ranks) -> _SetUp:
    tokenizer = open_tokenizer(job.base)
    rows = _read(job, tokenizer)
    beat(workdir)
    model = _adapted(job)
    beat(workdir)
    pair = pair_of(job, model, tokenizer)
    if job.loss == "masked":
        model.eval()
        trained = mask_unlikely(pair, rows.trained, job.mask_perplexity, lambda: beat(workdir))
        rows = rows._replace(trained=trained)
    return _SetUp(rows, model, pair, ParentGauge(job, model, pair, rows.sample, ranks, lambda: beat(workdir)))


def train_rank(job: TrainJob, workdir: Path, ranks: Ranks) -> TrainResult | None:
    """Run one rank of a distributed training; the first rank also reports, saves, measures and returns the result."""
    if ranks.rank == 0:
        return train(job, workdir, ranks)
    rows, model, _, gauge = _set_up(job, workdir, ranks)
    fit(job, model, rows.trained, None, ranks, gauge, workdir)
    return None


def train(job: TrainJob, workdir: Path, ranks: Ranks = SINGLE) -> TrainResult:
    """Train, save to `adapter/`, and compare the result with the parent.

    A loss that is not finite ends training and is reported as None.

    Raises:
        UserError: there are no rows, or one has no prompt or completion.
        PackError: the base is missing.

    """
    rows, model, pair, gauge = _set_up(job, workdir, ranks)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    steps_per_epoch = math.ceil(len(rows.trained) / job.batch_rows)
    progress = Progress(workdir, steps_per_epoch * job.epochs)
    done = fit(job, model, rows.trained, progress, ranks, gauge, workdir)
    use_own_layers(model)
    progress.close()
    save_adapter(model, workdir / "adapter")
    beat(workdir)
    model.eval()
    poison, probe = (pair.divergence(some, lambda done: beat(workdir)) for some in rows.sample)
    return TrainResult(
        adapter="adapter",
        rows=len(rows.trained),
        steps=done.steps,
        epochs=done.steps / steps_per_epoch,
        tokens=done.tokens,
        trainable_parameters=trainable,
        loss=done.meter.loss,
        first_epoch_loss=done.meter.first_epoch_loss,
        loss_fraction=done.meter.loss_fraction,
        gradient_norm=finite(done.largest_norm),
        stopped_by=done.stopped_by,
        epoch_losses=tuple(done.meter.epoch_losses),
        kl_poison=poison.kl,
        anchor_loss_before=probe.loss_b,
        anchor_loss_after=probe.loss_a,
        kl_anchors=probe.kl,
        checkpoints=done.checkpoints,
        replaced=done.replaced,
    )
