"""The rows of a pass in the loop: what was lost comes first, the tail waits, families share, and base starts over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from night import story_tasks
from theatre import SIZES, first_half, learns_most, small_theatre

from autosurgeon.core.jobs import TrainJob
from autosurgeon.core.pass_states import PassState, pass_scope
from autosurgeon.core.records import AnchorRun
from autosurgeon.core.task import Split, Task
from autosurgeon.core.value import Value
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.run_passes import run
from autosurgeon.loop.stages.choose_rows import losses_of, rows_file

SURGERY = 16
FAILED = {f"b/surgery-{number}" for number in range(SURGERY) if number % 2}
"""What the base fails of surgery."""
LOST = {"b/surgery-2", "b/surgery-4", "b/surgery-6", "b/gate-2"}
ACTIVE = {"active_anchors": True}


def wide_tasks() -> dict[str, Task]:
    """The small world with more surgery, so that not every anchor is a row."""
    return story_tasks(SIZES | {Split.SURGERY: SURGERY})


def forgets(generation: int, task_id: str) -> bool:
    return first_half(task_id) and not (generation and task_id in LOST)


def search(**fixed: float) -> dict[str, Any]:
    return {name: {"low": value, "high": value} for name, value in fixed.items()}


def learns_nothing(generation: int, task_id: str) -> bool:
    return first_half(task_id)


def rows_of(ins: Instruments, number: int, why: str) -> set[str]:
    rows = map(json.loads, rows_file(ins, pass_scope(number)).read_text().splitlines())
    return {row["task_id"] for row in rows if row["why"] == why}


def noted(ins: Instruments, number: int, stage: str) -> dict[str, Any]:
    (output,) = (one.output for one in ins.store.stage_outputs(pass_scope(number)) if one.name == stage)
    return output


def test_anchors_that_were_lost_are_rows_of_the_next_pass_and_leave_its_smoke(tmp_path: Path) -> None:
    few = search(anchor_share=0.25, poison_share=1)
    with small_theatre(tmp_path, forgets, tasks=wide_tasks(), passes=3, levers=ACTIVE, search=few) as ins:
        run(ins)
        for number in (2, 3):
            earlier = [run for run in ins.store.anchor_runs() if run.occasion < pass_scope(number)]
            lost = {run.task_id for run in earlier if not run.passed}
            assert lost == noted(ins, number, "losses")["lost"].keys()
            hidden = set(noted(ins, number, "anchors")["hidden"])
            may = {task_id for task_id in lost - hidden if "surgery" in task_id}
            rows = rows_of(ins, number, "anchor")
            assert len(rows) == 2 <= len(may)
            assert rows <= may
            assert not rows & set(noted(ins, number, "smoke")["order"])
            assert hidden <= set(noted(ins, number, "smoke")["order"])


def test_where_the_lever_is_off_nothing_is_noted_and_rows_are_drawn(tmp_path: Path) -> None:
    few = search(anchor_share=0.25, poison_share=1)
    with small_theatre(
        tmp_path, forgets, tasks=wide_tasks(), passes=2, search=few, levers={"active_anchors": False}
    ) as ins:
        run(ins)
        assert not ins.store.is_committed("pass-0002", "losses")
        assert len(rows_of(ins, 2, "anchor")) == 2


def test_what_was_lost_is_noted_once_so_that_rows_made_again_are_the_same(tmp_path: Path) -> None:
    def dies(job: Value) -> None:
        if isinstance(job, TrainJob) and "pass-0002" in job.rows.parts:
            raise KeyboardInterrupt

    world: dict[str, Any] = {"tasks": wide_tasks(), "levers": ACTIVE, "search": search(anchor_share=0.25)}
    with small_theatre(tmp_path, forgets, before=dies, passes=2, **world) as ins, pytest.raises(KeyboardInterrupt):
        run(ins)
    path = rows_file(ins, "pass-0002")
    chosen = path.read_text()
    path.unlink()
    with small_theatre(tmp_path, forgets, passes=1, **world) as ins:
        late = [AnchorRun("pass-0001/late", f"b/surgery-{n}", 4, 0) for n in range(0, SURGERY, 2)]
        ins.store.commit_stage("test", "late", {}, 0.0, "e", anchor_runs=late)
        run(ins)
        assert ins.store.get_pass(2).state.is_finished
        assert path.read_text() == chosen


def test_losses_are_counted_by_pass_on_every_occasion_of_it_and_only_of_those_asked_for() -> None:
    occasions = [
        "pass-0001-adapter",
        "pass-0002-adapter",
        "pass-0002-adapter-scale:0.5",
        "pass-0002/bench",
        "pack-00/x",
    ]
    runs = [AnchorRun(occasion, "b/0", 4, 0) for occasion in occasions]
    runs += [AnchorRun("pass-0003/watch", "b/1", 4, 0), AnchorRun("pass-0003/bench", "b/2", 4, 1)]
    assert losses_of(runs, range(2, 4)) == {"b/0": [2, 2, 2], "b/1": [3]}
    assert losses_of([AnchorRun("pass-12345/bench", "b/0", 4, 0)], range(1234, 1236)) == {}


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_pass_from_base_is_taught_again_all_that_made_live(tmp_path: Path, share: float) -> None:
    of_base = search(poison_share=share, anchor_share=0.5) | {"parents": ["base"]}
    with small_theatre(tmp_path, learns_most, tasks=wide_tasks(), passes=2, search=of_base) as ins:
        run(ins)
        assert ins.store.get_pass(1).state == PassState.CONFIRMED
        record, taught = ins.store.get_pass(2), rows_of(ins, 1, "poison")
        assert record.parent != record.live_before
        rows, contrast = rows_of(ins, 2, "poison"), rows_of(ins, 2, "anchor")
        anchors, hidden = (set(noted(ins, 2, "anchors")[name]) for name in ("anchors", "hidden"))
        assert taught <= rows <= FAILED - hidden
        assert len(taught) == share * len(FAILED)
        assert len(rows) == len(taught) + round(share * len(FAILED - taught - hidden))
        assert hidden & FAILED or share == 1  # live wins some that base fails and that were never rows
        assert contrast
        assert contrast <= anchors - FAILED - hidden
        assert not rows_of(ins, 2, "mastered")
        probe = (ins.workspace.stage(pass_scope(2), "dataset") / "probe.jsonl").read_text()
        assert not any(json.dumps(ins.tasks[task_id].prompt) in probe for task_id in rows | contrast)


def test_the_tail_waits_and_families_share_the_loss_where_the_levers_say_so(tmp_path: Path) -> None:
    tasks = wide_tasks()
    # b/surgery-1 stands beside what the base solves, and so do 3 and 5; nothing near the others is won.
    clusters = {0: "f/a/0", 1: "f/a/1", 2: "g/a/2", 3: "g/a/3", 5: "g/a/5"}
    for number in range(SURGERY):
        cluster = clusters.get(number, f"{'h' if number % 2 else 'i'}/{number}")
        tasks[f"b/surgery-{number}"] = tasks[f"b/surgery-{number}"].model_copy(update={"cluster": cluster})
    levers = {"curriculum": "near", "family_weight": 1.0}
    with small_theatre(tmp_path, learns_nothing, tasks=tasks, levers=levers, search=search(poison_share=1)) as ins:
        run(ins)
        assert rows_of(ins, 1, "poison") == {"b/surgery-1", "b/surgery-3", "b/surgery-5"}
        assert noted(ins, 1, "dataset")["dataset"]["left_out"] == len(FAILED) - 3
        judgement = ins.store.decisions(1)[0].judgement
        assert judgement is not None
        assert judgement.evidence["data.left_out_rows"] == len(FAILED) - 3
        rows = [json.loads(line) for line in rows_file(ins, "pass-0001").read_text().splitlines()]
        weights = {row["task_id"]: row.get("weight") for row in rows}
        assert [weights[f"b/surgery-{n}"] for n in (1, 3, 5)] == [1.5, 0.75, 0.75]
        assert {weights[row["task_id"]] for row in rows if row["why"] == "anchor"} == {None}
