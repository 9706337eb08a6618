"""The plan of a pass: which rows it trains on, and whether one of them is a held-out task, told again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import structlog

from autosurgeon.core.decision import Evidence
from autosurgeon.core.digest import digest_text
from autosurgeon.core.recipe import Recipe
from autosurgeon.core.records import PassRecord
from autosurgeon.core.shapes import lora_parameters_of
from autosurgeon.core.task import Split
from autosurgeon.dataset.contamination import Hit, find_hits
from autosurgeon.dataset.rows import Dataset, build_dataset
from autosurgeon.loop.instruments import Instruments
from autosurgeon.loop.stage import Done, once
from autosurgeon.loop.standing import Standing, pass_scope, tasks_of
from autosurgeon.policy.evidence import contamination_facts, data_facts

ROWS_FILE = "rows.jsonl"


def choose_rows(
    ins: Instruments, recipe: Recipe, parent: str, standing: Standing, history: Collection[str], folder: Path
) -> Dataset:
    """Choose rows and write them where the capsule reads them; nothing of a held-out task is within reach here."""
    surgery = {task.task_id: task for task in tasks_of(ins, standing.counted, (Split.SURGERY,))}
    results = {task_id: e for task_id, e in ins.store.envelopes(parent).items() if task_id in surgery}
    anchors = [task_id for task_id in standing.anchors if task_id in surgery and task_id not in standing.hidden]
    dataset = build_dataset(recipe, surgery, results, standing.counted, anchors, history)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ROWS_FILE).write_text(dataset.jsonl, encoding="utf-8")
    return dataset


def rows_file(ins: Instruments, scope: str) -> Path:
    """The rows that a pass trains on."""
    return ins.workspace.stage(scope, "dataset") / ROWS_FILE


def plan_rows(ins: Instruments, record: PassRecord, standing: Standing) -> tuple[Dataset, Evidence]:
    """The rows of a pass as their file says them, and what is to be said of them."""
    scope = pass_scope(record.number)

    def choose(folder: Path) -> Done:
        dataset = choose_rows(
            ins, record.recipe, record.parent, standing, ins.store.ever_poison(before=record.number), folder
        )
        poison = [row.task_id for row in dataset.rows if row.why == "poison"]
        return Done({"dataset": dataset.model_dump(mode="json"), "digest": dataset.digest, "poison": poison})

    def still_there(output: dict[str, Any]) -> bool:
        path = rows_file(ins, scope)
        return path.is_file() and digest_text(path.read_text(encoding="utf-8")) == output["digest"]

    known = [sorted(standing.anchors), sorted(standing.hidden), list(standing.counted)]
    dataset = Dataset.model_validate(once(ins, scope, "dataset", choose, still_there, inputs=known)["dataset"])
    hits = _check(ins, scope, dataset)
    splits = {task_id: task.split.value for task_id, task in ins.tasks.items()}
    twins, near = (_told(hit for hit in hits if hit.is_twin == wanted) for wanted in (True, False))
    return dataset, {
        # By the task's own split, whatever the row says of itself.
        **data_facts(
            [row.why for row in dataset.rows],
            [splits.get(row.task_id, "unknown") for row in dataset.rows],
            rows=[row.task_id for row in dataset.rows],
            seen=_seen_by(ins, record.parent),
            parameters=lora_parameters_of(ins.packs.path(record.parent), record.recipe.rank),
        ),
        **contamination_facts(twins, near),
    }


def _seen_by(ins: Instruments, pack: str) -> set[str]:
    """What a pack, and the packs that it comes from, were trained on."""
    scopes: list[str] = []
    parent: str | None = pack
    while parent is not None:
        parent, number = ins.store.origin_of(parent)
        scopes += [pass_scope(number)] if number is not None else []
    return {task_id for rows in ins.store.trained_rows(scopes).values() for task_id in rows}


def _check(ins: Instruments, scope: str, dataset: Dataset) -> tuple[Hit, ...]:
    """Hold the rows against every held-out task; a stage of its own, which can add no row."""

    def check(_: Path) -> Done:
        held_out = [task for task in ins.tasks.values() if task.split != Split.SURGERY]
        hits = find_hits(dataset.rows, {task_id: task.cluster for task_id, task in ins.tasks.items()}, held_out)
        return Done({"hits": [hit.model_dump(mode="json") for hit in hits]})

    output = once(ins, scope, "contamination", check, inputs=dataset.digest)
    hits = tuple(Hit.model_validate(hit) for hit in output["hits"])
    near = sorted((hit for hit in hits if not hit.is_twin), key=lambda hit: -hit.similarity)
    if near:
        rows = len({hit.row for hit in near})
        structlog.get_logger().info("near_held_out", scope=scope, rows=rows, nearest=near[0].told)
        ins.reporter.say(f"{rows} of {len(dataset.rows)} rows are like a held-out task, most of all {near[0].told}")
    return hits


def _told(hits: Iterable[Hit]) -> Mapping[str, list[str]]:
    """By row, what it is like, in words."""
    told: dict[str, list[str]] = defaultdict(list)
    for hit in sorted(hits, key=lambda hit: -hit.similarity):
        told[hit.row].append(hit.told)
    return told
