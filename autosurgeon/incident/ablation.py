"""The causes: variants of the scenario's second pass with one change each, measured on the adapter alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from autosurgeon.audit.delta import Variant
from autosurgeon.core.envelope import Envelope
from autosurgeon.core.jobs import TrainResult
from autosurgeon.core.recipe import Mix, Recipe
from autosurgeon.core.records import PassRecord
from autosurgeon.core.stage_results import DatasetResult, StageResult
from autosurgeon.core.task import Split
from autosurgeon.dataset.contrast import Losses
from autosurgeon.loop.baseline.baseline import Baseline, pass_scope, tasks_of, verified_folder
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.stage import Done, once
from autosurgeon.loop.pass_spine import show_training, train_job
from autosurgeon.loop.stages.choose_rows import ROWS_FILE, choose_rows, lost_before
from autosurgeon.loop.stages.generate_answers import Model
from autosurgeon.loop.stages.measure import measure
from autosurgeon.stats.paired import flips


class VariantResult(StageResult):
    """Wins lost and gained by a variant of pass 2."""

    stage = "variant"
    variant: Variant


SPLITS = (Split.SURGERY, Split.DEV, Split.GATE)


def ablate(ins: Instruments, baseline: Baseline, second: PassRecord, cool_lr: float) -> tuple[Variant, ...]:
    """Train and bench variants of pass 2 on the pack that was live then; none can go live.

    Args:
        ins: the instruments.
        baseline: the baseline of pass 2.
        second: the original pass 2, the first row of the table.
        cool_lr: pass 1's learning rate.

    """
    recipe = second.recipe
    variants = {
        "fresh failures only, the narrow hard set": recipe.model_copy(update={"mix": Mix.POISON}),
        "fresh failures and as many anchors": recipe.model_copy(update={"mix": Mix.POISON, "anchor_share": 1.0}),
        "one epoch": recipe.model_copy(update={"epochs": 1}),
        "pass 1's learning rate": recipe.model_copy(update={"lr": cool_lr}),
    }
    assert second.pack is not None  # the scenario ends early without a pack
    chosen = ins.store.stage_result(pass_scope(second.number), DatasetResult)
    assert chosen is not None  # it made a pack
    packed = ins.store.envelopes(second.pack, f"{pass_scope(second.number)}/bench").values()
    as_it_was = _variant(ins, baseline, "pass 2 as it was", len(chosen.dataset.rows), packed)
    losses = lost_before(ins, second, baseline)  # as recorded by pass 2
    return (as_it_was, *(_try(ins, baseline, name, variant, losses) for name, variant in variants.items()))


def _variant(ins: Instruments, baseline: Baseline, name: str, rows: int, results: Iterable[Envelope]) -> Variant:
    """Compare results with the live pack's on the counted tasks except the canary's."""
    before = {task_id: envelope.passed for task_id, envelope in ins.store.envelopes(baseline.live).items()}
    flipped = flips(before, {e.task_id: e.passed for e in results if e.bench in baseline.counted})
    return Variant(
        name=name,
        rows=rows,
        lost=len(flipped.lost),
        gained=len(flipped.gained),
        anchors_lost=sum(task_id in baseline.anchors for task_id in flipped.lost),
    )


def _try(ins: Instruments, baseline: Baseline, name: str, recipe: Recipe, losses: Losses) -> Variant:
    def work(folder: Path) -> Done[VariantResult]:
        first = ins.store.stage_result(pass_scope(1), DatasetResult)
        history = first.poison if first else ()
        dataset = choose_rows(ins, recipe, baseline.live, baseline, history, folder, losses)
        rows = folder / ROWS_FILE
        result = ins.capsules.run(train_job(ins, baseline.live, recipe, rows, ()), folder / "train", show_training(ins))
        assert isinstance(result, TrainResult)
        model = Model(name, verified_folder(ins, baseline.live), folder / "train" / result.adapter)
        envelopes = measure(ins, model, tasks_of(ins, baseline.counted, SPLITS), folder).envelopes
        variant = _variant(ins, baseline, name, len(dataset.rows), envelopes)
        return Done(VariantResult(variant=variant))

    stage = "variant-" + "-".join(name.replace(",", "").replace("'", "").split())
    return once(ins, "ablation", VariantResult, work, name=stage).variant
