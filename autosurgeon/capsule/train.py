"""One LoRA pass over prompt and completion rows, as the recipe says, until it is read or a stop rule speaks."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import LoraConfig, get_peft_model

from autosurgeon.capsule.batches import TokenRow, tokenize_rows
from autosurgeon.capsule.checkpoint import open_model, open_tokenizer
from autosurgeon.capsule.divergence import Divergence, bounded_batches, finite, predictor, score_batches
from autosurgeon.capsule.fit import fit
from autosurgeon.capsule.lora import stop_training_fast
from autosurgeon.capsule.ranks import ALONE, Ranks, together
from autosurgeon.capsule.workdir import Progress, beat, read_rows, write_whole
from autosurgeon.core.jobs import TrainJob, TrainResult
from autosurgeon.core.recipe import Quantization
from autosurgeon.errors import UserError

MAX_MEASURED_ROWS = 64  # of a kind: a mean over their tokens moves by less than what a policy would act on
MEASURED_BATCHES = 4  # batches of training in one of measuring, which keeps no activations for gradients


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

    weights = [float(row.get("weight", 1.0)) for row in taught]
    learned = [row._replace(weight=weight) for row, weight in zip(tokenized(taught), weights, strict=True)]
    poison = [tokens for tokens, row in zip(learned, taught, strict=True) if row.get("why") == "poison"]
    return Rows(learned, evenly_spaced(poison), evenly_spaced(tokenized(probe)))


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
        UserError: there are no rows, or one has no prompt or completion; or there are too few GPUs.
        PackError: there is no base.
        RuntimeError: one of several processes failed or was killed.

    """
    if job.processes == 1:
        return _train(job, workdir)
    return together(job.processes, workdir, lambda ranks: _share(job, workdir, ranks), TrainResult)


def _share(job: TrainJob, workdir: Path, ranks: Ranks) -> TrainResult | None:
    """One process's part: the first also reports, saves and measures."""
    if ranks.rank == 0:
        return _train(job, workdir, ranks)
    rows = _read(job, open_tokenizer(job.base))
    fit(job, _adapted(job), rows.learned, None, ranks)
    return None


def _train(job: TrainJob, workdir: Path, ranks: Ranks = ALONE) -> TrainResult:
    tokenizer = open_tokenizer(job.base)
    rows = _read(job, tokenizer)
    beat(workdir)
    model = _adapted(job)
    beat(workdir)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    steps_per_epoch = math.ceil(len(rows.learned) / job.batch_rows)
    progress = Progress(workdir, steps_per_epoch * job.epochs)
    done = fit(job, model, rows.learned, progress, ranks)
    stop_training_fast(model)
    progress.close()
    _save(model, workdir / "adapter")
    beat(workdir)
    poison = _held_against_parent(job, model, rows.poison, tokenizer, workdir)
    probe = _held_against_parent(job, model, rows.probe, tokenizer, workdir)
    return TrainResult(
        adapter="adapter",
        rows=len(rows.learned),
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
    )
