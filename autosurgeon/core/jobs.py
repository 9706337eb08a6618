"""The wire format between the runner and the capsule: one job in, one outcome out, both files.

A capsule works in the folder that holds its `job.json`. It appends to `progress.jsonl` while it runs and writes
`outcome.json` last, so its existence means that everything it names is complete.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from autosurgeon.core.recipe import Quantization
from autosurgeon.core.value import Value

JOB_FILE = "job.json"
OUTCOME_FILE = "outcome.json"
PROGRESS_FILE = "progress.jsonl"


class StopRule(Value):
    """A bound that training obeys while it runs: past it, training ends and keeps what it has."""

    rule_id: str
    fact: Literal["training.loss", "training.loss_fraction"]
    at_least: float


class TrainJob(Value):
    """Train a LoRA adapter on prompt and completion rows."""

    verb: Literal["train"] = "train"
    base: Path
    rows: Path
    """JSONL with `prompt` and `completion`."""
    epochs: int
    lr: float
    rank: int
    alpha_ratio: float
    """LoRA alpha over rank."""
    quantization: Quantization
    batch_rows: int
    max_tokens: int
    seed: int
    stop_rules: tuple[StopRule, ...] = ()


class GenerateJob(Value):
    """Complete prompts greedily, or `samples` times each at a temperature."""

    verb: Literal["generate"] = "generate"
    model: Path
    adapter: Path | None = None
    prompts: Path
    """JSONL with `task_id`, `prompt` and `stop`: `function` ends at the first dedent, `end` at the end token."""
    max_new_tokens: int
    batch_rows: int
    temperature: float = 0.0
    samples: int = 1
    seed: int = 0


class MergeJob(Value):
    """Fold an adapter into its base: FP32 sums, one BF16 rounding, a tensor at a time."""

    verb: Literal["merge"] = "merge"
    base: Path
    adapter: Path


class PretrainJob(Value):
    """Train a small base model from scratch, with its own tokenizer."""

    verb: Literal["pretrain"] = "pretrain"
    rows: Path
    """JSONL with `prompt` and `completion`."""
    vocabulary: int
    hidden: int
    layers: int
    heads: int
    batch_rows: int
    lr: float
    seed: int


AnyJob = Annotated[TrainJob | GenerateJob | MergeJob | PretrainJob, Field(discriminator="verb")]
JOB: TypeAdapter[TrainJob | GenerateJob | MergeJob | PretrainJob] = TypeAdapter(AnyJob)


class TrainResult(Value):
    """What a training run measured; losses are mean cross-entropy in nats per learned token."""

    verb: Literal["train"] = "train"
    adapter: str
    """Folder, relative to the job's."""
    rows: int
    steps: int
    epochs: float
    """How many readings of the rows were done; fewer than asked where a stop rule spoke."""
    tokens: int
    trainable_parameters: int
    loss: float | None
    """Of the last window of steps; None where it was not finite."""
    first_epoch_loss: float | None
    loss_fraction: float | None
    """`loss` over `first_epoch_loss`; 1 until the first epoch is over."""
    gradient_norm: float | None
    """The largest norm before clipping."""
    stopped_by: str | None
    """The rule that ended training early."""


class GenerateResult(Value):
    """How much was generated, and under what conditions: runs of different fingerprints are not comparable."""

    verb: Literal["generate"] = "generate"
    completions: str
    """JSONL with `task_id`, `sample` and `completion`, relative to the job's folder."""
    count: int
    tokens: int
    fingerprint: str


class MergeResult(Value):
    """What a merge wrote."""

    verb: Literal["merge"] = "merge"
    model: str
    """Folder with `model.safetensors`, config and tokenizer, relative to the job's."""
    tensors: int
    merged: int


class PretrainResult(Value):
    """What pretraining made."""

    verb: Literal["pretrain"] = "pretrain"
    model: str
    parameters: int
    steps: int
    tokens: int
    loss: float


Result = TrainResult | GenerateResult | MergeResult | PretrainResult


class Outcome(Value):
    """What a capsule says of its job; written last."""

    format: Literal["autosurgeon.outcome/1"] = "autosurgeon.outcome/1"
    result: Annotated[Result, Field(discriminator="verb")] | None = None
    error: str | None = None
    """One line; the traceback is in the capsule's log."""
    cause: Literal["user", "memory", "crash"] | None = None
