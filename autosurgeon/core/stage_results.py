"""The results of stages: one frozen value per stage, which the store keeps and every reader gets.

The `stage` of a value is the stage's name; if a stage has several names (`salvage-1`, `bench-1f0c...`), `stage` is the
part before the first dash. The field names are the keys of the stored JSON, so they must not change.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    """The base class of results; keys of older versions that this version does not need are ignored."""

    model_config = ConfigDict(extra="ignore")
    stage: ClassVar[str] = "stage"
    tokens: Tokens = Tokens()

    def content(self) -> dict[str, Any]:
        """Return the JSON that the store keeps, without fields at their defaults."""
        return self.model_dump(mode="json", exclude_defaults=True)


Result = TypeVar("Result", bound=StageResult)


class Effect(NamedTuple, Generic[Result]):
    """The effect of a committed stage."""

    effect_id: str | None
    """None for a stage that predates effect ids."""
    result: Result


class ImportResult(StageResult):
    """The base pack and the digest of the organ that it was imported from."""

    stage = "import"
    pack: str
    organ: str = ""


class WarmStartResult(StageResult):
    """The passes of other workspaces at the time when they were read."""

    stage = "warm-start"
    passes: tuple[PassRecord, ...]


class PackBenchResult(StageResult):
    """A bench outside of a pass: of the base, or of tasks that a live pack has not run."""

    stage = "bench"
    tasks: int = 0
    book: dict[str, tuple[str, str, str]] = Field(default_factory=dict)
    """By task id: digest of its content, split, bench."""


class SamplesResult(StageResult):
    """Samples that confirm wins; their counts are in a separate table."""

    stage = "confirm"


class AnchorsResult(StageResult):
    """The anchors at the start of a pass, and those that are hidden from training."""

    stage = "anchors"
    anchors: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


class LossesResult(StageResult):
    """The recent passes whose candidates lost each anchor."""

    stage = "losses"
    lost: dict[str, tuple[int, ...]] = Field(default_factory=dict)


class DatasetResult(StageResult):
    """The rows of a pass, the digest of their file, and their poison tasks."""

    stage = "dataset"
    dataset: Dataset
    digest: str
    poison: tuple[str, ...] = ()


class ContaminationResult(StageResult):
    """The rows that repeat, or may repeat, held-out tasks."""

    stage = "contamination"
    hits: tuple[Hit, ...] = ()


class TrainStageResult(StageResult):
    """The report of a training; the adapter is in the stage's folder."""

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
    """A rung of the salvage ladder, and the smoke of its variant, if it was smoked."""

    stage = "salvage"
    tried: RungTried
    sha256: str = ""
    """The digest of the variant's tensors; empty if it was not smoked."""


class MergeStageResult(StageResult):
    """The new pack, and the version of autosurgeon that made it."""

    stage = "merge"
    pack: str
    version: str = ""


class FidelityResult(StageResult):
    """The packed file compared with the adapter, by the quantization of the base."""

    stage = "fidelity"
    results: dict[str, CompareResult]


class Impossible(Value):
    """Contradictory twins of tasks, which no honest program passes: the number tried, and those that passed."""

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
    """The number of dev wins; None if the bench ended before all dev tasks ran."""
    counted: tuple[str, ...] | None = None


class ConfirmResult(StageResult):
    """Pairs of samples of the gained tasks, and the evidence that they are truly gained."""

    stage = "confirm"
    confirmed: tuple[str, ...] = ()
    """The tasks that are confirmed by their own samples alone."""
    sampled: int = 0
    p_luck: float = 1.0
    """The chance of so much evidence where nothing improved, whenever sampling ended."""
    drawn: Mapping[str, tuple[str, str]] = Field(default_factory=dict)
    """By task, whether each sample of the candidate and of live passed, as a string of 0 and 1."""


class DistanceResult(StageResult):
    """The candidate compared with live on the references of the gate."""

    stage = "distance"
    result: CompareResult


class DeployResult(StageResult):
    """The response of the deployed runtime to the request to serve the pack."""

    stage = "deploy"
    deployment: Deployment


class WatchResult(StageResult):
    """The watch of a live pack, on canary tasks and anchors."""

    stage = "watch"
    tasks: int = 0
    watched: tuple[str, ...] | None = None
    """The anchors that were run; None for a watch that predates this field."""
    recovered: tuple[str, ...] = ()
