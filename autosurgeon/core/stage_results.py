"""What each stage returns: one frozen value a stage, as the store keeps it and as every reader gets it.

A stage is named by its value's `stage`; where one stage has several names (`salvage-1`, `bench-1f0c...`), `stage` is
the part before the first dash. The field names are the keys of the stored JSON, so they stay as they are.
"""

from __future__ import annotations

from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from pydantic import ConfigDict, Field

from autosurgeon.core.decision import FactValue
from autosurgeon.core.jobs import CompareResult, TrainResult
from autosurgeon.core.records import Deployment, PassRecord, RungTried
from autosurgeon.core.training_data import Dataset, Hit
from autosurgeon.core.value import Value


class Tokens(Value):
    """Tokens that a stage trained on and generated."""

    trained: int = 0
    generated: int = 0


class StageResult(Value):
    """The base of what stages return. Keys that an older version kept and this one does not need are ignored."""

    model_config = ConfigDict(extra="ignore")
    stage: ClassVar[str] = "stage"
    tokens: Tokens = Tokens()

    def content(self) -> dict[str, Any]:
        """The JSON that the store keeps: fields at their defaults are left out."""
        return self.model_dump(mode="json", exclude_defaults=True)


Result = TypeVar("Result", bound=StageResult)


class Effect(NamedTuple, Generic[Result]):
    """What a stage brought about."""

    effect_id: str | None
    """None for a stage from before it was kept."""
    result: Result


class ImportResult(StageResult):
    """The base pack and the digest of the organ that it was imported from."""

    stage = "import"
    pack: str
    organ: str = ""


class WarmStartResult(StageResult):
    """The passes of other workspaces, as they were when they were read."""

    stage = "warm-start"
    passes: tuple[PassRecord, ...]


class PackBenchResult(StageResult):
    """A bench outside of a pass: of the base, or of tasks that a live pack has not run yet."""

    stage = "bench"
    tasks: int = 0
    book: dict[str, tuple[str, str, str]] = Field(default_factory=dict)
    """By task id: digest of its content, split, bench."""


class SamplesResult(StageResult):
    """Samples of wins that nothing else confirms; the counts are in a table of their own."""

    stage = "confirm"


class AnchorsResult(StageResult):
    """The anchors that a pass began with, and those of them that no training may see."""

    stage = "anchors"
    anchors: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


class LossesResult(StageResult):
    """By anchor, the recent passes whose candidates lost it."""

    stage = "losses"
    lost: dict[str, tuple[int, ...]] = Field(default_factory=dict)


class DatasetResult(StageResult):
    """The rows of a pass, the digest of their file, and the tasks that are poison among them."""

    stage = "dataset"
    dataset: Dataset
    digest: str
    poison: tuple[str, ...] = ()


class ContaminationResult(StageResult):
    """The rows that are, or may be, held-out tasks."""

    stage = "contamination"
    hits: tuple[Hit, ...] = ()


class TrainStageResult(StageResult):
    """What training reports; the adapter lies in the stage's folder."""

    stage = "train"
    result: TrainResult


class SmokeResult(StageResult):
    """Anchors run on the adapter before the merge."""

    stage = "smoke"
    facts: dict[str, FactValue] = Field(default_factory=dict)
    order: tuple[str, ...] = ()
    recovered: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


class SalvageResult(SmokeResult):
    """A rung of the salvage ladder, and the smoke of its variant where there was one to smoke."""

    stage = "salvage"
    tried: RungTried
    sha256: str = ""
    """Of the variant's tensors; empty where nothing was smoked."""


class MergeStageResult(StageResult):
    """The pack that was made, and the version of autosurgeon that made it."""

    stage = "merge"
    pack: str
    version: str = ""


class FidelityResult(StageResult):
    """The packed file compared with the adapter, by the quantization of the base."""

    stage = "fidelity"
    results: dict[str, CompareResult]


class Impossible(Value):
    """Twins of tasks that no honest program passes: how many were tried, and which passed."""

    tried: int
    passed: tuple[str, ...] = ()


class BenchResult(StageResult):
    """The bench of a packed candidate."""

    stage = "bench"
    tasks: int = 0
    impossible: Impossible = Impossible(tried=0)
    order: tuple[str, ...] = ()
    stopped: str | None = None
    """The rule that ended it early."""
    recovered: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    dev: int | None = None
    """Dev wins; None where the bench ended before they were whole."""
    counted: tuple[str, ...] | None = None


class ConfirmResult(StageResult):
    """Gained tasks that every sample of the candidate passes and every sample of live fails."""

    stage = "confirm"
    confirmed: tuple[str, ...] = ()
    sampled: int = 0


class DistanceResult(StageResult):
    """The candidate compared with live on the references of the gate."""

    stage = "distance"
    result: CompareResult


class DeployResult(StageResult):
    """What the deployed runtime did when it was asked to serve the pack."""

    stage = "deploy"
    deployment: Deployment


class WatchResult(StageResult):
    """The second look at a live pack: canary and anchors."""

    stage = "watch"
    tasks: int = 0
    watched: tuple[str, ...] | None = None
    """Anchors that were run; None for a watch from before it was kept."""
    recovered: tuple[str, ...] = ()
