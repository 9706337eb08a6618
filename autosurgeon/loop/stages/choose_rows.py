"""Choose the rows that a pass trains on, and check them for held-out tasks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import structlog

from autosurgeon.core.decision import Evidence
from autosurgeon.core.digest import digest_text
from autosurgeon.core.pass_states import number_in
from autosurgeon.core.recipe import Recipe
from autosurgeon.core.records import AnchorRun, PassRecord
from autosurgeon.core.shapes import lora_parameters_of
from autosurgeon.core.stage_results import ContaminationResult, DatasetResult, LossesResult
from autosurgeon.core.task import Split, groups_of
from autosurgeon.core.training_data import Dataset, Hit
from autosurgeon.dataset.contamination import find_hits
from autosurgeon.dataset.contrast import RECENT_PASSES, Losses
from autosurgeon.dataset.training_rows import Focus, build_dataset
from autosurgeon.loop.baseline.baseline import Baseline, pass_scope, tasks_of
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.stage import Done, once
from autosurgeon.policy.evidence import contamination_facts, data_facts

ROWS_FILE = "rows.jsonl"
RUNS_READ = 200
"""The most occasions of an anchor in the recent passes, each with a smoke, rungs, a bench and a watch."""


def choose_rows(
    ins: Instruments,
    recipe: Recipe,
    parent: str,
    baseline: Baseline,
    history: Collection[str],
    folder: Path,
    losses: Losses,
) -> Dataset:
    """Choose rows and write them for the capsule."""
    dataset = rows_for(ins, recipe, parent, baseline, history, losses)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ROWS_FILE).write_text(dataset.jsonl, encoding="utf-8")
    return dataset


def rows_for(
    ins: Instruments,
    recipe: Recipe,
    parent: str,
    baseline: Baseline,
    history: Collection[str],
    losses: Losses,
) -> Dataset:
    """The rows of a recipe on a parent, from the surgery split only.

    Hidden anchors are left out first, since a parent that is older than live fails some of them.
    """
    tasks = tasks_of(ins, baseline.counted, (Split.SURGERY,))
    surgery = {task.task_id: task for task in tasks if task.task_id not in baseline.hidden}
    results = {task_id: e for task_id, e in ins.store.envelopes(parent).items() if task_id in surgery}
    anchors = [task_id for task_id in baseline.anchors if task_id in surgery]
    levers = ins.settings.levers
    return build_dataset(
        recipe,
        surgery,
        results,
        baseline.counted,
        anchors,
        history,
        won_since=[task_id for task_id, passed in ins.store.passed(baseline.live).items() if passed],
        focus=Focus(
            groups={task_id: groups_of(ins.tasks[task_id], ins.tasks) for task_id in {*surgery, *losses}},
            losses=losses,
            near_only=levers.curriculum == "near",
            family_weight=levers.family_weight,
        ),
    )


def lost_before(ins: Instruments, record: PassRecord, baseline: Baseline) -> Losses:
    """The anchors that candidates of the last passes lost, recorded once, since tries of this pass add to them.

    None where `levers.active_anchors` is off.
    """

    def note(_: Path) -> Done[LossesResult]:
        lost = losses_of(
            (run for runs in ins.store.last_anchor_runs(baseline.anchors, RUNS_READ).values() for run in runs),
            range(record.number - RECENT_PASSES, record.number),
        )
        return Done(LossesResult(lost={task_id: tuple(passes) for task_id, passes in lost.items()}))

    if not ins.settings.levers.active_anchors:
        return {}
    return once(ins, pass_scope(record.number), LossesResult, note).lost


def losses_of(runs: Iterable[AnchorRun], passes: Collection[int]) -> dict[str, list[int]]:
    """By anchor, the passes whose candidates lost it, once per loss."""
    lost: dict[str, list[int]] = defaultdict(list)
    for run in runs:
        number = number_in(run.occasion)
        if number is not None and number in passes and not run.passed:
            lost[run.task_id].append(number)
    return {task_id: sorted(lost[task_id]) for task_id in sorted(lost)}


def rows_file(ins: Instruments, scope: str) -> Path:
    """The file of the rows that a pass trains on."""
    return ins.workspace.stage(scope, "dataset") / ROWS_FILE


def plan_rows(ins: Instruments, record: PassRecord, baseline: Baseline) -> tuple[Dataset, Evidence]:
    """The rows of a pass from its file, and their facts."""
    scope, losses = pass_scope(record.number), lost_before(ins, record, baseline)

    def choose(folder: Path) -> Done[DatasetResult]:
        history = ins.store.ever_poison(before=record.number)
        dataset = choose_rows(ins, record.recipe, record.parent, baseline, history, folder, losses)
        if dataset.left_out:
            ins.reporter.say(f"{dataset.left_out} failures are left out: nothing near them is won yet")
        poison = tuple(row.task_id for row in dataset.rows if row.why == "poison")
        return Done(DatasetResult(dataset=dataset, digest=dataset.digest, poison=poison))

    def still_there(result: DatasetResult) -> bool:
        path = rows_file(ins, scope)
        return path.is_file() and digest_text(path.read_text(encoding="utf-8")) == result.digest

    known: list[Any] = [sorted(baseline.anchors), sorted(baseline.hidden), list(baseline.counted)]
    known += [losses] if losses else []
    dataset = once(ins, scope, DatasetResult, choose, still_there, inputs=known).dataset
    hits = _check(ins, scope, dataset)
    splits = {task_id: task.split.value for task_id, task in ins.tasks.items()}
    twins, near = (_pairs(hit for hit in hits if hit.is_twin == wanted) for wanted in (True, False))
    return dataset, {
        # By the split of the task, not of the row.
        **data_facts(
            [row.why for row in dataset.rows],
            [splits.get(row.task_id, "unknown") for row in dataset.rows],
            rows=[row.task_id for row in dataset.rows],
            seen=_seen_by(ins, record.parent),
            parameters=lora_parameters_of(ins.packs.path(record.parent), record.recipe.rank),
            left_out=dataset.left_out,
        ),
        **contamination_facts(twins, near),
    }


def _seen_by(ins: Instruments, pack: str) -> set[str]:
    """The tasks that a pack and its ancestors were trained on."""
    scopes: list[str] = []
    parent: str | None = pack
    while parent is not None:
        parent, number = ins.store.origin_of(parent)
        scopes += [pass_scope(number)] if number is not None else []
    return {task_id for rows in ins.store.trained_rows(scopes).values() for task_id in rows}


def _check(ins: Instruments, scope: str, dataset: Dataset) -> tuple[Hit, ...]:
    """Compare the rows with every held-out task, in a stage of its own, which adds no row."""

    def check(_: Path) -> Done[ContaminationResult]:
        held_out = [task for task in ins.tasks.values() if task.split != Split.SURGERY]
        hits = find_hits(dataset.rows, {task_id: task.cluster for task_id, task in ins.tasks.items()}, held_out)
        return Done(ContaminationResult(hits=tuple(hits)))

    hits = once(ins, scope, ContaminationResult, check, inputs=dataset.digest).hits
    near = sorted((hit for hit in hits if not hit.is_twin), key=lambda hit: -hit.similarity)
    if near:
        rows = len({hit.row for hit in near})
        structlog.get_logger().info("near_held_out", scope=scope, rows=rows, nearest=near[0].description)
        nearest = near[0].description
        ins.reporter.say(f"{rows} of {len(dataset.rows)} rows are like a held-out task, most of all {nearest}")
    return hits


def _pairs(hits: Iterable[Hit]) -> Mapping[str, list[str]]:
    """By row, the held-out tasks that it resembles, in words."""
    pairs: dict[str, list[str]] = defaultdict(list)
    for hit in sorted(hits, key=lambda hit: -hit.similarity):
        pairs[hit.row].append(hit.description)
    return pairs
