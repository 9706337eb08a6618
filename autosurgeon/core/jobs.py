"""The wire format between the runner and the capsule: one job in, one outcome out, both files.

A capsule works in the folder that holds its `job.json`. It appends to `progress.jsonl` while it runs and writes
`outcome.json` last, so its existence means that everything it names is complete.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, model_validator

from autosurgeon.core.recipe import MergeBase, Quantization
from autosurgeon.core.usage import DeviceUsage
from autosurgeon.core.value import Value

JOB_FILE = "job.json"
OUTCOME_FILE = "outcome.json"
PROGRESS_FILE = "progress.jsonl"


Optimizer = Literal["adamw", "adamw_8bit", "paged_adamw_8bit"]


class StopRule(Value):
    """A bound that training obeys while it runs: past it, training ends and keeps what it has."""

    rule_id: str
    fact: Literal[
        "training.loss", "training.loss_fraction", "training.kl", "training.kl_anchors", "training.anchor_loss_rise"
    ]
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> StopRule:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("a stop rule has exactly one bound: at_least or at_most")
        return self

    def is_past(self, observed: float) -> bool:
        """Whether the bound is passed; a number that is on it is not."""
        below = self.at_least is not None and observed < self.at_least
        return below or (self.at_most is not None and observed > self.at_most)


class TrainingState(Value):
    """Where training keeps all that it needs to go on from where it was killed, to the very same end."""

    folder: Path
    """Outside of the capsule's own folder, which every try begins empty."""
    effect: str
    """What the training brings about: a state of another effect is left alone."""
    every_s: float
    """Seconds of training from one writing to the next; 0 writes after each step."""


class TrainJob(Value):
    """Train a LoRA adapter on prompt and completion rows."""

    verb: Literal["train"] = "train"
    base: Path
    rows: Path
    """JSONL with `prompt`, `completion` and `why`: rows whose `why` is `poison` are what `kl_poison` is measured on.

    A row's `weight`, where it has one, multiplies its tokens' losses; where it has none, it weighs 1."""
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
    """Tokens of a forward pass, in which rows stand beside each other; halved where memory runs out."""
    optimizer: Optimizer = "adamw"
    rslora: bool = False
    """Scale the adapter by alpha over the root of the rank, and not over the rank."""
    stop_rules: tuple[StopRule, ...] = ()
    probe: Path | None = None
    """JSONL with `prompt` and `completion`, none of it trained on: wins whose loss is measured before and after."""
    processes: int = Field(1, ge=1)
    """Processes that share the rows of each step, on a GPU each where there are GPUs."""
    state: TrainingState | None = None
    """Nothing is kept where it is empty."""
    checkpoints_per_epoch: int = Field(0, ge=0)
    """Adapters that are saved on the way, evenly over each epoch; the one at the end is the result and none of them."""
    kl_weight: float = 0.0
    """Weight of KL(parent || tuned) on the rows whose `why` is `anchor`, beside the cross-entropy."""
    measure_every_epochs: float = 0.25
    """How often a fact that needs the parent is measured, where a stop rule names one: on 32 rows at most."""

    @property
    def gauged(self) -> frozenset[str]:
        """The facts of stop rules that need the parent; losses tell the others."""
        return frozenset(rule.fact for rule in self.stop_rules) - {"training.loss", "training.loss_fraction"}


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
    merge_base: MergeBase = "original"
    """With `dequantized`, layers that training held in NF4 are taken from there and back before the sum."""


class ReshapeJob(Value):
    """Make another adapter of those that there are, without training: a plain LoRA adapter like them."""

    verb: Literal["reshape"] = "reshape"
    method: Literal["scale", "lines", "average", "intruders"]
    """`scale`: the delta times the factor. `lines`: times one that rises linearly from the factor in the first layer to
    1 in the last; what is in no layer gets the factor. `average`: the mean of the deltas. `intruders`: without most of
    the singular directions that the parent's weights do not have."""
    base: Path
    """What the adapters were trained on."""
    adapters: tuple[Path, ...] = Field(min_length=1)
    """The candidate's first; the others are only averaged with."""
    factor: float = Field(1.0, ge=0, le=1)


class CompareJob(Value):
    """Hold model b against model a: the tensors of their files, and what they predict on the rows, teacher-forced."""

    verb: Literal["compare"] = "compare"
    a: Path
    a_adapter: Path | None = None
    """Applied, not merged."""
    quantization: Quantization = Quantization.NONE
    """Of a's base, as the adapter was trained on it."""
    b: Path
    b_adapter: Path | None = None
    rows: Path
    """JSONL with `prompt` and `completion`."""
    batch_rows: int
    max_tokens: int


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


Job = TrainJob | GenerateJob | MergeJob | ReshapeJob | CompareJob | PretrainJob
JOB: TypeAdapter[Job] = TypeAdapter(Annotated[Job, Field(discriminator="verb")])


class Checkpoint(Value):
    """An adapter that was saved on the way."""

    adapter: str
    """Folder, relative to the job's."""
    epochs: float
    loss: float | None
    """Of the window of steps before it."""


class TrainResult(Value):
    """What a training run measured; losses are mean cross-entropy in nats per learned token, as rows weigh.

    What needs the parent is measured at the end, teacher-forced, with the adapter in place and with it disabled, on at
    most 64 rows of a kind, evenly spaced over their order. None where there is no such row or a number is not finite.
    """

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
    epoch_losses: tuple[float, ...] = ()
    """Mean of the steps of each epoch that was read to its end."""
    kl_poison: float | None = None
    """Mean of KL(tuned || parent) over the tokens of poison completions, in nats per token."""
    anchor_loss_before: float | None = None
    """The parent's on the probe."""
    anchor_loss_after: float | None = None
    """The tuned model's on the same rows."""
    kl_anchors: float | None = None
    """Mean of KL(tuned || parent) over the tokens of the probe's completions, in nats per token."""
    checkpoints: tuple[Checkpoint, ...] = ()
    """Oldest first; without the adapter at the end."""


class GenerateResult(Value):
    """How much was generated, and under what conditions: runs of different fingerprints are not comparable."""

    verb: Literal["generate"] = "generate"
    completions: str
    """JSONL with `task_id`, `sample`, `completion` and `tokens`, relative to the job's folder."""
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


class ReshapeResult(Value):
    """What a reshaping wrote."""

    verb: Literal["reshape"] = "reshape"
    adapter: str
    """Folder, relative to the job's."""
    pairs: int
    """Adapted matrices."""
    changed: int
    """Of these, those that are not as they were trained."""


class CompareResult(Value):
    """How far b is from a, over the completion tokens of the rows, in nats per token; None where one was not finite."""

    verb: Literal["compare"] = "compare"
    rows: int
    """Those that have a completion within `max_tokens`."""
    tokens: int
    kl: float | None
    """Mean of KL(a || b) over tokens."""
    largest_kl: float | None
    """The largest of the rows' means."""
    flips: int
    """Tokens where the two most likely ones differ, or where a model's numbers are not finite."""
    flipped_rows: int
    """Rows with a flip."""
    loss_a: float | None
    loss_b: float | None
    missing_tensors: tuple[str, ...]
    """What a's base has and b's lacks; such a tensor is filled at random where b is run."""
    foreign_tensors: tuple[str, ...]
    """What b's base has and a's lacks."""
    reshaped_tensors: tuple[str, ...]
    """What both have in different shapes; where there is one, b is not run and every token counts as flipped."""


class PretrainResult(Value):
    """What pretraining made."""

    verb: Literal["pretrain"] = "pretrain"
    model: str
    parameters: int
    steps: int
    tokens: int
    loss: float


Result = TrainResult | GenerateResult | MergeResult | ReshapeResult | CompareResult | PretrainResult


class Outcome(Value):
    """What a capsule says of its job; written last."""

    format: Literal["autosurgeon.outcome/1"] = "autosurgeon.outcome/1"
    result: Annotated[Result, Field(discriminator="verb")] | None = None
    error: str | None = None
    """One line; the traceback is in the capsule's log."""
    cause: Literal["user", "memory", "crash"] | None = None
    usage: DeviceUsage | None = None
    """None from a capsule that does not tell."""
