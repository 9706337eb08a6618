from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, NamedTuple

import pytest
from builders import make_envelope, make_recipe, make_task
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.core.envelope import Envelope
from autosurgeon.core.task import Split, Task
from autosurgeon.dataset.rows import Dataset, build_dataset
from autosurgeon.errors import UserError


class World(NamedTuple):
    """All that a dataset is made of, but for the recipe."""

    tasks: dict[str, Task]
    parent: dict[str, Envelope]
    anchors: list[str]
    history: list[str]

    def rows(self, targets: tuple[str, ...] = ("b", "c"), **recipe: Any) -> Dataset:
        surgery = {task_id: task for task_id, task in self.tasks.items() if task.split == Split.SURGERY}
        return build_dataset(make_recipe(**recipe), surgery, self.parent, targets, self.anchors, self.history)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    ids = [f"{bench}/{n}" for bench in "bcd" for n in range(draw(st.integers(0, 8)))]
    reference = st.sampled_from(["def solve(x):\n    return x\n", "pass\n", None, ""])
    tasks = {i: make_task(i, split=draw(st.sampled_from(Split)), reference=draw(reference)) for i in ids}
    ran = [i for i in ids if draw(st.integers(0, 9))]
    parent = {i: make_envelope(i, passed=draw(st.booleans())) for i in ran}
    some = st.lists(st.sampled_from([*ids, "gone/0"]), unique=True)
    return World(tasks, parent, draw(some), draw(some))


def plain_world(failures: int, wins: int) -> World:
    ids = [f"b/{n}" for n in range(failures + wins)]
    parent = {task_id: make_envelope(task_id, passed=n >= failures) for n, task_id in enumerate(ids)}
    return World({i: make_task(i) for i in ids}, parent, ids[failures:], ids)


SHARES = st.sampled_from([0.1, 0.5, 1.0])
RATIOS = st.sampled_from([0.0, 0.5, 1.0, 4.0])
MIXES = st.sampled_from(["poison", "union"])


@given(worlds(), MIXES, SHARES, RATIOS)
def test_only_the_surgery_split_of_the_target_benches_becomes_rows(
    w: World, mix: str, share: float, ratio: float
) -> None:
    for row in w.rows(targets=("b",), mix=mix, poison_share=share, anchor_share=ratio).rows:
        assert w.tasks[row.task_id].split == Split.SURGERY
        assert (row.split, row.bench) == ("surgery", "b")


@pytest.mark.parametrize("split", [split for split in Split if split != Split.SURGERY])
def test_a_task_of_another_split_is_refused_by_name_before_any_row_is_chosen(split: Split) -> None:
    world = plain_world(2, 2)
    tasks = world.tasks | {"b/9": make_task("b/9", split=split)}
    with pytest.raises(UserError, match=r"held-out tasks were handed to the dataset; got b/9; wanted .* surgery split"):
        build_dataset(make_recipe(), tasks, world.parent, ("b",), (), ())


@given(worlds(), MIXES, SHARES, RATIOS)
def test_every_row_is_there_for_the_reason_that_it_gives(w: World, mix: str, share: float, ratio: float) -> None:
    for row in w.rows(mix=mix, poison_share=share, anchor_share=ratio).rows:
        won = w.parent[row.task_id].passed
        assert won == (row.why != "poison")
        if row.why == "anchor":
            assert row.task_id in w.anchors
        if row.why == "mastered":
            assert mix == "union"
            assert row.task_id in w.history


@given(worlds(), MIXES, SHARES, RATIOS)
def test_a_row_teaches_the_reference_of_its_own_task_and_stands_once(
    w: World, mix: str, share: float, ratio: float
) -> None:
    dataset = w.rows(mix=mix, poison_share=share, anchor_share=ratio)
    assert len({row.task_id for row in dataset.rows}) == len(dataset.rows)
    for row in dataset.rows:
        task = w.tasks[row.task_id]
        assert (row.prompt, row.completion) == (task.prompt, task.reference)
        assert row.completion


@given(worlds(), MIXES, SHARES, RATIOS)
def test_the_same_inputs_in_any_order_give_the_same_rows(w: World, mix: str, share: float, ratio: float) -> None:
    turned = World(dict(reversed(w.tasks.items())), dict(reversed(w.parent.items())), w.anchors[::-1], w.history[::-1])
    recipe: dict[str, Any] = {"mix": mix, "poison_share": share, "anchor_share": ratio}
    assert w.rows(**recipe).digest == turned.rows(**recipe).digest


def test_the_rows_do_not_depend_on_how_python_hashes_text() -> None:
    script = (
        "from test_dataset_rows import plain_world\n"
        "print(plain_world(30, 30).rows(mix='union', poison_share=0.3, anchor_share=0.5).digest)"
    )
    digests = set()
    for seed in ("0", "1", "2"):
        env = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        digests.add(subprocess.run([sys.executable, "-c", script], env=env, check=True, capture_output=True).stdout)
    assert len(digests) == 1


@given(worlds(), SHARES, RATIOS)
def test_a_poison_mix_has_no_mastered_row(w: World, share: float, ratio: float) -> None:
    assert "mastered" not in {row.why for row in w.rows(poison_share=share, anchor_share=ratio).rows}


@given(worlds())
def test_a_full_share_takes_every_failure_that_may_be_taken(w: World) -> None:
    wanted = {
        task_id
        for task_id, envelope in w.parent.items()
        if not envelope.passed
        and w.tasks[task_id].split == Split.SURGERY
        and w.tasks[task_id].reference
        and w.tasks[task_id].bench in ("b", "c")
    }
    assert {row.task_id for row in w.rows(poison_share=1.0).rows if row.why == "poison"} == wanted


@pytest.mark.parametrize(("share", "rows"), [(1.0, 20), (0.5, 10), (0.1, 2), (0.01, 1)])
def test_the_poison_share_is_of_the_fresh_failures_and_at_least_one(share: float, rows: int) -> None:
    assert len(plain_world(20, 0).rows(poison_share=share).rows) == rows


@pytest.mark.parametrize(("ratio", "anchors"), [(0.0, 0), (0.25, 5), (1.0, 20), (2.0, 30), (4.0, 30)])
def test_the_anchor_share_is_per_poison_row_as_far_as_there_are_anchors(ratio: float, anchors: int) -> None:
    dataset = plain_world(20, 30).rows(anchor_share=ratio)
    assert len(dataset.anchor_ids) == anchors
    assert dataset.anchor_ids == {row.task_id for row in dataset.rows if row.why == "anchor"}


def test_without_a_failure_there_is_nothing_to_train_on() -> None:
    assert plain_world(0, 30).rows(anchor_share=1.0).rows == ()


def test_the_union_marks_every_mastered_row_of_the_history() -> None:
    rows = plain_world(5, 30).rows(mix="union", anchor_share=1.0).rows
    assert sorted(row.why for row in rows) == ["anchor"] * 5 + ["mastered"] * 25 + ["poison"] * 5


def test_the_union_takes_back_failures_that_the_share_left_out() -> None:
    assert (
        len([row for row in plain_world(20, 0).rows(mix="union", poison_share=0.1).rows if row.why == "poison"]) == 20
    )


def test_an_anchor_that_fails_by_now_is_poison_and_no_anchor() -> None:
    world = plain_world(1, 0)._replace(anchors=["b/0"])
    assert [row.why for row in world.rows(anchor_share=4.0).rows] == ["poison"]


def test_another_seed_draws_other_rows() -> None:
    drawn = {plain_world(30, 30).rows(poison_share=0.5, seed=seed).digest for seed in range(5)}
    assert len(drawn) == 5


def test_the_file_holds_one_row_a_line_with_its_provenance() -> None:
    dataset = plain_world(2, 1).rows(anchor_share=0.5)
    lines = [json.loads(line) for line in dataset.jsonl.split("\n")[:-1]]
    assert [line["why"] for line in lines] == ["poison", "poison", "anchor"]
    assert set(lines[0]) == {"prompt", "completion", "task_id", "bench", "split", "why"}
