"""The sections of the settings, one for each table of `autosurgeon.toml`; fields document their effect and unit."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from autosurgeon.places import ConfigAddress, ConfigPath, ConfigProgram

MaskKind = Literal["prompts", "paths"]
Prompt = Literal["completion", "chat", "auto"]
BenchFormat = Literal["humaneval", "mbpp", "humaneval+", "mbpp+", "livecodebench", "native"]
BenchName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_+-]*$")]


class Section(BaseModel):
    """A table of the settings: frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Span(Section):
    """A closed interval to search."""

    low: float = Field(gt=0, allow_inf_nan=False)
    """Smallest value tried."""
    high: float = Field(gt=0, allow_inf_nan=False)
    """Largest value tried."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low is above high; got {self.low} and {self.high}")
        return self


class OrganSettings(Section):
    """The model under surgery. The defaults fit the lab's organ."""

    model: ConfigPath | None = None
    """Folder of the base checkpoint (safetensors, config, tokenizer); the lab's organ when empty."""
    hub: str | None = Field(None, pattern=r"^[\w.-]+/[\w.-]+$")
    """A checkpoint on the hub instead of a folder, as `owner/name`; downloaded once into the hub's cache (HF_HOME)."""
    revision: str | None = Field(None, pattern=r"^[0-9a-f]{40}$")
    """The commit of `hub`, 40 hex digits; a branch is refused, since its model changes."""
    reference_lr: float = Field(2e-3, gt=0, lt=1)
    """A learning rate that is high but safe for this organ; policies bound the ratio to it. 1e-4 fits a 0.5B model."""
    prompt: Prompt = "completion"
    """How tasks are asked and taught: as text to complete, or by an instruct model's chat template, with the code block
    as the answer; `auto` is `chat` where the checkpoint has a template. Part of the generation fingerprint."""
    system_prompt: str = ""
    """The system message of a chat; when empty, the template's own default, if it has one."""
    max_tokens: int = Field(512, ge=8)
    """Longest training row, in tokens; longer rows are truncated."""
    max_new_tokens: int = Field(80, ge=1)
    """Longest answer, in tokens; the lab's longest reference has 57."""
    train_batch_rows: int = Field(1, ge=1)
    """Rows per optimizer step."""
    train_pack_tokens: int = Field(16384, ge=8)
    """Tokens of a forward pass in training, in which rows are packed side by side; halved where memory runs out."""
    optimizer: Literal["adamw", "adamw_8bit", "paged_adamw_8bit"] = "adamw"
    """AdamW with its state in FP32, or in 8 bits by bitsandbytes; `paged` moves it to the host where needed."""
    train_processes: int = Field(1, ge=1, le=64)
    """Processes that share the rows of each step, on a GPU each where there are GPUs, all on this host."""
    rslora: bool = False
    """Whether an adapter is scaled by alpha over the root of its rank instead of over the rank."""
    generate_batch_rows: int = Field(64, ge=1)
    """Prompts per generation batch; part of the generation fingerprint."""
    quantization: Literal["none", "nf4"] = "none"
    """How the frozen base is held while training: `none`, or `nf4` by bitsandbytes."""
    merge_base: Literal["original", "dequantized"] = "original"
    """What an adapter trained on a 4-bit base is merged into: the base's own weights, or the dequantized weights that
    the adapter was trained on."""

    @model_validator(mode="after")
    def _one_organ(self) -> Self:
        if self.hub is not None and self.model is not None:
            raise ValueError("model and hub name two organs; remove one of them")
        if (self.hub is None) != (self.revision is None):
            raise ValueError("hub and revision belong together: the revision is the commit's 40 hex digits")
        return self


class BenchSettings(Section):
    """A bench of your own, `[benches.NAME]`. With any of these, the lab's benches do not run."""

    tasks: ConfigPath
    """The task file, as published or your own, plain or .gz."""
    format: BenchFormat = "native"
    """Format of its rows; `autosurgeon/bench/formats/README.md` has each format."""
    first: int = Field(1, ge=1)
    """The first row to use, counted from 1."""
    count: int | None = Field(None, ge=1)
    """Number of rows to use from there; all when empty."""
    quarantine: ConfigPath | None = None
    """A file of `bench check --quarantine`; its tasks are left out."""
    cpu_s: float | None = Field(None, gt=0, le=3600, allow_inf_nan=False)
    """CPU seconds per program; `grading.cpu_s` when empty."""
    wall_s: float | None = Field(None, gt=0, le=86400, allow_inf_nan=False)
    """Seconds of wall clock per program; `grading.wall_s` when empty."""


class SearchSettings(Section):
    """Search spans of the proposer; each is clipped to what the policy's proposal rules allow."""

    parents: tuple[Literal["base", "live"], ...] = Field(("live", "base"), min_length=1)
    """Packs that a pass may train on."""
    poison_share: Span = Span(low=0.7, high=1.0)
    """Share of the parent's fresh failures that become rows."""
    anchor_share: Span = Span(low=0.5, high=1.0)
    """Anchor rows per poison row."""
    epochs: Span = Span(low=1, high=3)
    """Epochs over the rows; whole numbers."""
    lr_ratio: Span = Span(low=0.4, high=1.5)
    """Learning rate over the organ's reference rate; searched on a log scale."""
    rank: Span = Span(low=4, high=16)
    """LoRA rank; powers of two."""
    alpha_ratio: Span = Span(low=2, high=4)
    """LoRA alpha over rank."""
    random_passes: int = Field(4, ge=0)
    """Passes drawn at random before the sampler learns from history."""
    remembered_newest: int = Field(100, ge=1)
    """Number of newest passes that the proposer learns from; the time of a proposal grows with it."""
    remembered_best: int = Field(25, ge=0)
    """Number of passes with the highest climbs on dev that it learns from, regardless of age; its sampler counts at
    most 25 as good."""
    refused_distance: float = Field(0.25, ge=0, allow_inf_nan=False)
    """Distance to a recipe refused on the same packs below which a recipe is drawn again. 1 is a doubling of
    rate, rank or alpha ratio, one epoch, or the whole of a share; 0 turns this off."""
    warm_start: tuple[ConfigPath, ...] = ()
    """Other workspaces of the same organ whose passes the proposer also learns from."""

    @model_validator(mode="after")
    def _sampler_learns(self) -> Self:
        if self.random_passes > self.remembered_newest:
            raise ValueError(
                "random_passes is above remembered_newest, so the sampler never learns; "
                f"got {self.random_passes} and {self.remembered_newest}"
            )
        return self


class AnchorSettings(Section):
    """Confirmation of wins as anchors."""

    samples: int = Field(4, ge=1)
    """k of pass^k: the number of samples that all have to pass."""
    temperature: float = Field(0.4, gt=0, le=2)
    """Sampling temperature of the confirmation."""
    live_wins: int = Field(2, ge=2)
    """Consecutive live packs that have to win a task before it counts as confirmed without samples."""
    retries: int = Field(3, ge=0, le=20)
    """Retries of a lost anchor before it counts as lost; each retry is a batch of its own."""
    flake_limit: float = Field(0.2, gt=0, le=1)
    """Share of a task's last runs with both failures and passes from which it is no longer an anchor."""
    flake_runs: int = Field(20, ge=5)
    """Number of last runs for that share; fewer than five give none."""
    hidden_share: float = Field(0.25, ge=0, lt=1)
    """Share of the surgery split's anchors that is hidden from training, taken from those that were never rows."""
    rotate_passes: int = Field(10, ge=1)
    """Passes after which a different part is hidden."""


class StatisticsSettings(Section):
    """Statistical bounds of promotions."""

    alpha: float = Field(0.05, gt=0, lt=1)
    """Bound on the probability of a false promotion of each live version; each look at the benches uses part of it."""
    samples: int = Field(32, ge=1, le=1024)
    """Most samples of each pack for each gained task; sampling ends once the evidence is enough or cannot be."""
    ladder_step_tasks: float = Field(1, gt=0)
    """Step of the Ladder: the proposer sees dev wins only if they exceed the best by this many tasks."""


class CapsuleSettings(Section):
    """The disposable process that trains, merges and generates."""

    python: ConfigProgram | None = None
    """Interpreter of capsules, a path or a name in PATH; the current one when empty."""
    warm: bool = True
    """Fork capsules from a process that has imported the torch stack once."""
    resident_s: float = Field(120, ge=0)
    """Seconds that a warm capsule keeps its model in memory and waits for the next generation job; 0 for none."""
    memory_gib: float = Field(16, gt=0)
    """Resident memory of a capsule and its child processes above which they are killed; shared pages count once."""
    wall_s: float = Field(3600, gt=0)
    """Seconds after which a capsule is killed."""
    heartbeat_s: float = Field(600, gt=0)
    """Seconds without progress (a model loaded, a step, a token, a tensor) after which a capsule is killed as hung."""
    train_state_s: float = Field(60, ge=0)
    """Seconds of training between saves of its state, from which a killed training continues; 0 saves at each step."""
    gpu_tolerance_mib: int = Field(200, ge=0)
    """MiB of GPU memory that may be in use before a stage, in addition to the use before the first capsule."""
    gpu_wait_s: float = Field(60, ge=0)
    """Seconds that a stage waits for free GPU memory before it fails; no wait without a GPU or nvidia-smi."""


class GradingSettings(Section):
    """Execution of generated programs."""

    jail: Literal["auto", "bwrap", "landlock", "plain"] = "auto"
    """How programs are isolated; `auto` uses the strongest jail that works on this machine."""
    allow_plain_jail: bool = False
    """Whether the loop may run programs without a sandbox if none works on the machine."""
    workers: int = Field(0, ge=0, le=1024)
    """Programs that run at once; 0 means one per core."""
    cpu_s: float = Field(2, gt=0, le=3600, allow_inf_nan=False)
    """CPU seconds per program, or ten times what its task's reference uses where that is more."""
    wall_s: float = Field(30, gt=0, le=86400, allow_inf_nan=False)
    """Seconds of wall clock per program, for programs that sleep."""
    memory_mib: int = Field(1024, ge=64)
    """Address space per program."""
    packages: tuple[str, ...] = Field((), exclude_if=lambda packages: not packages)
    """Installed packages that programs and tests may import, such as `numpy`, read-only in the jail; name what they
    require too. None by default."""


class LoopSettings(Section):
    """Limits and budgets of the loop."""

    attempts: int = Field(3, ge=1)
    """Attempts at a stage before its pass ends as FAILED."""
    recoveries: int = Field(5, ge=0)
    """Restarts of a stage in which the process died before its pass ends as FAILED."""
    failures_in_a_row: int = Field(3, ge=1)
    """Consecutive passes that FAILED or had missing, erroneous or invalid evidence after which the run ends."""
    passes_without_gain: int | None = Field(None, ge=1)
    """Consecutive passes without CONFIRMED after which the run ends; never when empty."""
    on_plateau: Literal["end", "widen", "none"] = "none"
    """Effect of a plateau: end the run, widen the search, or only show it in `status` and the run."""
    plateau_passes: int = Field(20, ge=1)
    """Consecutive passes without a promotion or a higher climb on dev that make a plateau; FAILED passes do not
    count."""
    stuck_passes: int = Field(5, ge=0)
    """Consecutive passes ended by one rule for one cause, such as the same lost anchor, that make a standstill; 0 turns
    it off. FAILED passes do not count."""
    on_stuck: Literal["end", "pause", "none"] = "end"
    """Effect of a standstill: end the run, pause it until `autosurgeon resume`, or only show and notify it. A
    standstill of fully judged passes with too little gain is only shown; `on_plateau` applies to it."""
    gpu_hours: float | None = Field(None, gt=0)
    """Hours of stages that run a capsule (train, smoke, merge, benches, comparisons; including their grading and failed
    attempts) after which a run starts no pass; also counted without a GPU. No limit when empty."""
    disk_gib: float | None = Field(None, gt=0, allow_inf_nan=False)
    """GiB that the workspace may use on the disk; above it a run starts no pass. No limit when empty."""
    min_free_mib: int = Field(512, ge=0)
    """Free disk space below which the loop pauses before the next stage, until this much and the ballast are free."""
    ballast_mib: int = Field(16, ge=0)
    """Size of the file that is deleted when the disk is full, so that the pause can be recorded; 0 for none."""
    full_disk_retry_s: float = Field(600, gt=0)
    """Seconds after which a stage that failed on a full disk is retried, even if no free space was observed."""
    verify_every_passes: int = Field(10, ge=1)
    """Passes after which a long run verifies the live packs byte by byte; each start verifies them."""


class RetentionSettings(Section):
    """Weights that `pack gc` and a run short of disk keep, besides base, live, pinned packs and open passes."""

    keep_live: int = Field(3, ge=0)
    """Number of earlier live packs to keep, newest first; reverted packs do not count."""
    when_full: bool = True
    """Whether a run short of disk removes what `pack gc` removes before it waits for space or ends."""


class StoreSettings(Section):
    """The memory of the workspace."""

    url: ConfigAddress | None = Field(None, repr=False)
    """A PostgreSQL database for this workspace alone, `postgresql+psycopg://…`; its SQLite file when empty."""


class AuditSettings(Section):
    """Settings of the record and of exported documents."""

    checkpoint_copy: ConfigPath | None = None
    """Folder, preferably on another machine, to which each signed checkpoint is copied; none when empty."""
    mask: tuple[MaskKind, ...] = ()
    """What markers replace in reports, notifications, `audit log` and `audit export`: `prompts` (with references,
    programs and the output of checks), `paths` (absolute paths and user names). The memory is not masked."""


class LabSettings(Section):
    """The embedded lab."""

    stdin_route: Literal["planner", "organ"] = "planner"
    """Handler of stdin-style prompts: `planner` leaks them to another handler, as the incident's dispatcher did."""
