"""The wire format between the runner and the capsule: a job file in, an outcome file out.

A capsule works in the folder of its `job.json`. It appends to `progress.jsonl` while it runs and writes `outcome.json`
last, so if that file exists, everything that it names is complete.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from autosurgeon.core.chat import Chat
from autosurgeon.core.recipe import Loss, MergeBase, Quantization
from autosurgeon.core.stop_rule import StopRule
from autosurgeon.core.usage import DeviceUsage
from autosurgeon.core.value import Value

JOB_FILE = "job.json"
OUTCOME_FILE = "outcome.json"
PROGRESS_FILE = "progress.jsonl"


Optimizer = Literal["adamw", "adamw_8bit", "paged_adamw_8bit"]


class TrainingState(Value):
    """The checkpoint from which a killed training resumes, with the same result as an uninterrupted one."""

    folder: Path
    """Outside of the capsule's own folder, which is empty at the start of each attempt."""
    effect: str
    """The effect id of the training; a checkpoint of another effect is not used."""
    every_s: float
    """Seconds of training between two checkpoints; 0 writes one after each step."""


class TrainJob(Value):
    """Train a LoRA adapter on prompt and completion rows."""

    verb: Literal["train"] = "train"
    base: Path
    rows: Path
    """JSONL with `prompt`, `completion` and `why`; `kl_poison` is measured on the rows whose `why` is `poison`.

    The optional `weight` of a row multiplies the losses of its tokens; it defaults to 1."""
    epochs: int
    lr: float
    rank: int
    alpha_ratio: float
    """LoRA alpha over rank."""
    quantization: Quantization
    batch_rows: int
    """Rows of one optimizer step."""
    max_tokens: int
    seed: int
    pack_tokens: int = 1 << 14
    """Tokens of a forward pass with packed rows; halved when memory runs out."""
    optimizer: Optimizer = "adamw"
    rslora: bool = False
    """Scale the adapter by alpha over the root of the rank instead of alpha over the rank."""
    stop_rules: tuple[StopRule, ...] = ()
    probe: Path | None = None
    """JSONL with `prompt` and `completion`, not trained on: wins whose loss is measured before and after training."""
    processes: int = Field(1, ge=1)
    """Processes that share the rows of each step, one GPU each if there are GPUs."""
    chat: Chat | None = None
    """How the prompts are asked: by the chat template, or, if None, as they are."""
    state: TrainingState | None = None
    """None keeps no checkpoint for resuming."""
    checkpoints_per_epoch: int = Field(0, ge=0)
    """Intermediate adapters, evenly spaced over each epoch; the final adapter is the result and not one of them."""
    kl_weight: float = 0.0
    """Weight of KL(parent || tuned) on the rows whose `why` is `anchor`, beside the cross-entropy."""
    loss: Loss = "plain"
    mask_perplexity: float = Field(2.5, ge=1, allow_inf_nan=False)
    """With the loss `masked`, tokens of a higher perplexity under the parent are not learned."""
    measure_every_epochs: float = 0.25
    """The interval at which facts that need the parent are measured, on at most 32 rows, if a stop rule names one."""

    @property
    def parent_facts(self) -> frozenset[str]:
        """The facts of stop rules that need the parent; the others follow from the training loss."""
        return frozenset(rule.fact for rule in self.stop_rules) - {"training.loss", "training.loss_fraction"}


class GenerateJob(Value):
    """Complete prompts greedily, or `samples` times each at a temperature."""

    verb: Literal["generate"] = "generate"
    model: Path
    adapter: Path | None = None
    prompts: Path
    """JSONL with `task_id`, `prompt` and `stop`: `function` ends at the first dedent, `block` with the code block,
    `end` at the end token."""
    max_new_tokens: int
    batch_rows: int
    temperature: float = 0.0
    samples: int = 1
    seed: int = 0
    chat: Chat | None = None
    """As in `TrainJob`."""


class MergeJob(Value):
    """Merge an adapter into its base: FP32 sums, one BF16 rounding, one tensor at a time."""

    verb: Literal["merge"] = "merge"
    base: Path
    adapter: Path
    merge_base: MergeBase = "original"
    """With `dequantized`, layers that training held in NF4 are quantized and dequantized before the sum."""


class ReshapeJob(Value):
    """Derive a plain LoRA adapter from existing ones, without training."""

    verb: Literal["reshape"] = "reshape"
    method: Literal["scale", "lines", "average", "intruders"]
    """`scale` multiplies the delta by the factor. `lines` multiplies it by a value that rises linearly from the factor
    in the first layer to 1 in the last; modules outside of the layers get the factor. `average` takes the mean of the
    deltas. `intruders` removes most of the singular directions that the parent's weights do not have."""
    base: Path
    """The model that the adapters were trained on."""
    adapters: tuple[Path, ...] = Field(min_length=1)
    """The candidate's adapter first; the others are used only by `average`."""
    factor: float = Field(1.0, ge=0, le=1)


class CompareJob(Value):
    """Compare model b with model a: the tensors of their files, and their teacher-forced predictions on the rows."""

    verb: Literal["compare"] = "compare"
    a: Path
    a_adapter: Path | None = None
    """Applied, not merged."""
    quantization: Quantization = Quantization.NONE
    """The quantization of a's base, as in the training of the adapter."""
    b: Path
    b_adapter: Path | None = None
    rows: Path
    """JSONL with `prompt` and `completion`."""
    batch_rows: int
    max_tokens: int
    chat: Chat | None = None
    """As in `TrainJob`."""


class OpenJob(Value):
    """Open a checkpoint, and refuse one whose config, tokenizer, tensors and model disagree."""

    verb: Literal["open"] = "open"
    model: Path


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


Job = TrainJob | GenerateJob | MergeJob | ReshapeJob | CompareJob | OpenJob | PretrainJob
JOB: TypeAdapter[Job] = TypeAdapter(Annotated[Job, Field(discriminator="verb")])


class Checkpoint(Value):
    """An intermediate adapter of a training."""

    adapter: str
    """Folder, relative to the job's."""
    epochs: float
    loss: float | None
    """Mean over the window of steps before it."""


class TrainResult(Value):
    """The measurements of a training; losses are weighted mean cross-entropy in nats per learned token.

    Comparisons with the parent are made at the end, teacher-forced, with the adapter enabled and disabled, on at most
    64 evenly spaced rows of a kind. A field is None if there is no such row or the value is not finite.
    """

    verb: Literal["train"] = "train"
    adapter: str
    """Folder, relative to the job's."""
    rows: int
    steps: int
    epochs: float
    """Epochs done; fewer than requested if a stop rule ended training."""
    tokens: int
    trainable_parameters: int
    loss: float | None
    """Mean over the last window of steps; None if it was not finite."""
    first_epoch_loss: float | None
    loss_fraction: float | None
    """`loss` over `first_epoch_loss`; 1 until the first epoch ends."""
    gradient_norm: float | None
    """The largest norm before clipping."""
    stopped_by: str | None
    """The rule that ended training early."""
    epoch_losses: tuple[float, ...] = ()
    """Mean loss of the steps of each completed epoch."""
    kl_poison: float | None = None
    """Mean of KL(tuned || parent) over the tokens of poison completions, in nats per token."""
    anchor_loss_before: float | None = None
    """The parent's loss on the probe."""
    anchor_loss_after: float | None = None
    """The tuned model's loss on the probe."""
    kl_anchors: float | None = None
    """Mean of KL(tuned || parent) over the tokens of the probe's completions, in nats per token."""
    checkpoints: tuple[Checkpoint, ...] = ()
    """Oldest first, without the final adapter."""
    replaced: tuple[str, ...] = ()
    """The fast pieces in whose place transformers' own were used, since they do not agree for this model."""


class GenerateResult(Value):
    """The volume and the conditions of a generation: results of different fingerprints are not comparable."""

    verb: Literal["generate"] = "generate"
    completions: str
    """JSONL with `task_id`, `sample`, `completion` and `tokens`, relative to the job's folder."""
    count: int
    tokens: int
    fingerprint: str
    replaced: tuple[str, ...] = ()
    """As in `TrainResult`."""


class MergeResult(Value):
    """The files that a merge wrote."""

    verb: Literal["merge"] = "merge"
    model: str
    """Folder with `model.safetensors`, config and tokenizer, relative to the job's."""
    tensors: int
    merged: int


class ReshapeResult(Value):
    """The adapter that a reshape wrote."""

    verb: Literal["reshape"] = "reshape"
    adapter: str
    """Folder, relative to the job's."""
    pairs: int
    """Adapted matrices."""
    changed: int
    """The number of pairs that differ from the trained adapter."""


class CompareResult(Value):
    """The divergence of b from a over the completion tokens of the rows, in nats per token; None if not finite."""

    verb: Literal["compare"] = "compare"
    rows: int
    """The rows that have a completion within `max_tokens`."""
    tokens: int
    kl: float | None
    """Mean of KL(a || b) over tokens."""
    largest_kl: float | None
    """The largest mean of a row."""
    flips: int
    """Tokens where the models' most likely tokens differ, or where a model's logits are not finite."""
    flipped_rows: int
    """Rows with a flip."""
    loss_a: float | None
    loss_b: float | None
    missing_tensors: tuple[str, ...]
    """Tensors that a's base has and b's lacks; they are filled at random when b is run."""
    foreign_tensors: tuple[str, ...]
    """Tensors that b's base has and a's lacks."""
    reshaped_tensors: tuple[str, ...]
    """Tensors whose shapes differ; if there is one, b is not run and every token counts as flipped."""


class OpenResult(Value):
    """The model that a checkpoint holds."""

    verb: Literal["open"] = "open"
    architecture: str
    """The class of transformers."""
    parameters: int


class PretrainResult(Value):
    """The model that pretraining wrote."""

    verb: Literal["pretrain"] = "pretrain"
    model: str
    parameters: int
    steps: int
    tokens: int
    loss: float


Result = TrainResult | GenerateResult | MergeResult | ReshapeResult | CompareResult | OpenResult | PretrainResult


class Outcome(Value):
    """The outcome of a capsule's job, which the capsule writes last."""

    format: Literal["autosurgeon.outcome/1"] = "autosurgeon.outcome/1"
    result: Annotated[Result, Field(discriminator="verb")] | None = None
    error: str | None = None
    """One line; the traceback is in the capsule's log."""
    cause: Literal["user", "memory", "crash"] | None = None
    usage: DeviceUsage | None = None
    """None if the capsule does not report it."""
