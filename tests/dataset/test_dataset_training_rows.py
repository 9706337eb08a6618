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
from autosurgeon.core.task import Split, Task, groups_of
from autosurgeon.core.training_data import Dataset
from autosurgeon.dataset.training_rows import Focus, build_dataset
from autosurgeon.errors import UserError


class World(NamedTuple):
    """The inputs of a dataset except the recipe."""

    tasks: dict[str, Task]
    parent: dict[str, Envelope]
    anchors: list[str]
    history: list[str]

    def rows(
        self,
        targets: tuple[str, ...] = ("b", "c"),
        won_since: tuple[str, ...] = (),
        focus: dict[str, Any] | None = None,
        **recipe: Any,
    ) -> Dataset:
        surgery = {task_id: task for task_id, task in self.tasks.items() if task.split == Split.SURGERY}
        groups = {task_id: groups_of(task, self.tasks) for task_id, task in self.tasks.items()}
        return build_dataset(
            make_recipe(**recipe),
            surgery,
            self.parent,
            targets,
            self.anchors,
            self.history,
            won_since=won_since,
            focus=Focus(groups=groups, **(focus or {})),
        )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    ids = [f"{bench}/{n}" for bench in "bcd" for n in range(draw(st.integers(0, 8)))]
    reference = st.sampled_from(["def solve(x):\n    return x\n", "pass\n", None, ""])
    cluster = st.sampled_from(["f/a/1", "f/a/2", "f/b/1", "g/a", "h"])
    tasks = {
        i: make_task(i, split=draw(st.sampled_from(Split)), reference=draw(reference), cluster=draw(cluster))
        for i in ids
    }
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
def test_only_tasks_of_the_surgery_split_of_target_benches_become_rows(
    w: World, mix: str, share: float, ratio: float
) -> None:
    for row in w.rows(targets=("b",), mix=mix, poison_share=share, anchor_share=ratio).rows:
        assert w.tasks[row.task_id].split == Split.SURGERY
        assert (row.split, row.bench) == ("surgery", "b")


@pytest.mark.parametrize("split", [split for split in Split if split != Split.SURGERY])
def test_a_task_of_another_split_is_refused_by_name_before_any_row_is_chosen(split: Split) -> None:
    world = plain_world(2, 2)
    tasks = world.tasks | {"b/9": make_task("b/9", split=split)}
    with pytest.raises(UserError, match=r"held-out tasks were passed to the dataset; got b/9; wanted .* surgery split"):
        build_dataset(make_recipe(), tasks, world.parent, ("b",), (), ())


@given(worlds(), MIXES, SHARES, RATIOS)
def test_every_row_has_a_correct_reason(w: World, mix: str, share: float, ratio: float) -> None:
    for row in w.rows(mix=mix, poison_share=share, anchor_share=ratio).rows:
        won = w.parent[row.task_id].passed
        assert won == (row.why != "poison")
        if row.why == "anchor":
            assert row.task_id in w.anchors
        if row.why == "mastered":
            assert mix == "union"
            assert row.task_id in w.history


@given(worlds(), MIXES, SHARES, RATIOS)
def test_a_row_contains_the_reference_of_its_task_and_is_unique(w: World, mix: str, share: float, ratio: float) -> None:
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


def test_the_rows_do_not_depend_on_pythons_hash_seed() -> None:
    script = (
        "from test_dataset_training_rows import plain_world\n"
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
def test_a_full_share_takes_every_usable_failure(w: World) -> None:
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
def test_the_anchor_share_is_per_poison_row_up_to_the_number_of_anchors(ratio: float, anchors: int) -> None:
    dataset = plain_world(20, 30).rows(anchor_share=ratio)
    assert len(dataset.anchor_ids) == anchors
    assert dataset.anchor_ids == {row.task_id for row in dataset.rows if row.why == "anchor"}


def test_without_failures_there_are_no_rows() -> None:
    assert plain_world(0, 30).rows(anchor_share=1.0).rows == ()


def test_the_union_marks_every_mastered_row_of_the_history() -> None:
    rows = plain_world(5, 30).rows(mix="union", anchor_share=1.0).rows
    assert sorted(row.why for row in rows) == ["anchor"] * 5 + ["mastered"] * 25 + ["poison"] * 5


def test_the_union_includes_failures_that_the_share_excluded() -> None:
    assert (
        len([row for row in plain_world(20, 0).rows(mix="union", poison_share=0.1).rows if row.why == "poison"]) == 20
    )


def test_an_anchor_that_fails_now_is_poison_and_not_an_anchor() -> None:
    world = plain_world(1, 0)._replace(anchors=["b/0"])
    assert [row.why for row in world.rows(anchor_share=4.0).rows] == ["poison"]


def test_another_seed_draws_other_rows() -> None:
    drawn = {plain_world(30, 30).rows(poison_share=0.5, seed=seed).digest for seed in range(5)}
    assert len(drawn) == 5


def test_the_file_has_one_row_per_line_with_its_provenance() -> None:
    dataset = plain_world(2, 1).rows(anchor_share=0.5)
    lines = [json.loads(line) for line in dataset.jsonl.split("\n")[:-1]]
    assert [line["why"] for line in lines] == ["poison", "poison", "anchor"]
    assert set(lines[0]) == {"prompt", "completion", "task_id", "bench", "split", "why"}


FOCUSES = st.fixed_dictionaries({"near_only": st.booleans(), "family_weight": st.sampled_from([0.0, 0.5, 1.0])})


def losses_in(world: World) -> dict[str, list[int]]:
    return {task_id: [1, 2][: 1 + n % 2] for n, task_id in enumerate(sorted(world.tasks)) if n % 3}


@given(worlds(), MIXES, SHARES, RATIOS)
def test_losses_change_the_choice_of_anchors_but_not_their_number(
    w: World, mix: str, share: float, ratio: float
) -> None:
    recipe: dict[str, Any] = {"mix": mix, "poison_share": share, "anchor_share": ratio}
    drawn, active = w.rows(**recipe), w.rows(**recipe, focus={"losses": losses_in(w)})
    assert len(active.anchor_ids) == len(drawn.anchor_ids)
    assert active.anchor_ids <= set(w.anchors)
    assert [row for row in active.rows if row.why == "poison"] == [row for row in drawn.rows if row.why == "poison"]
    assert all(w.tasks[row.task_id].split == Split.SURGERY for row in active.rows)


def test_lost_anchors_become_rows_first() -> None:
    world = plain_world(10, 30)
    losses = {"b/15": [1], "b/20": [1, 2], "b/30": [1]}
    for seed in range(5):
        assert world.rows(anchor_share=0.1, seed=seed, focus={"losses": losses}).anchor_ids == {"b/20"}
        assert world.rows(anchor_share=0.5, seed=seed, focus={"losses": losses}).anchor_ids > losses.keys()


@given(worlds(), MIXES, SHARES, FOCUSES)
def test_the_levers_leave_rows_if_there_were_any(w: World, mix: str, share: float, focus: dict[str, Any]) -> None:
    focus = focus | {"losses": losses_in(w)}
    plain, pulled = (w.rows(mix=mix, poison_share=share, focus=f) for f in ({}, focus))
    poison, others = ([row for row in d.rows if row.why == "poison"] for d in (pulled, plain))
    assert bool(poison) == bool(others)
    assert pulled.left_out == 0 or focus["near_only"]
    if poison:
        assert sum(row.weight for row in poison) == pytest.approx(len(poison), abs=1e-4)
    assert all(row.weight == 1 for row in pulled.rows if row.why != "poison")


def test_the_curriculum_reports_the_number_of_excluded_failures() -> None:
    clusters = ["f/a/1", "f/a/2", "f/b/1", "f/b/2", "g/a/1"]
    tasks = {f"b/{n}": make_task(f"b/{n}", cluster=cluster) for n, cluster in enumerate(clusters)}
    parent = {task_id: make_envelope(task_id, passed=task_id == "b/0") for task_id in tasks}
    dataset = World(tasks, parent, [], []).rows(focus={"near_only": True})
    assert ([row.task_id for row in dataset.rows], dataset.left_out) == (["b/1"], 3)
    # A task that was won since counts as a neighbour too.
    known = World(tasks, parent, [], ["b/2"]).rows(won_since=("b/2",), focus={"near_only": True})
    assert ([row.task_id for row in known.rows], known.left_out) == (["b/1", "b/2", "b/3"], 1)


def test_an_earlier_row_that_is_won_since_is_a_row_regardless_of_the_share() -> None:
    world = plain_world(20, 10)._replace(history=["b/0", "b/1", "b/2", "b/25"])
    since = ("b/0", "b/1", "b/3", "b/25")
    for seed in range(5):
        rows = {row.task_id for row in world.rows(won_since=since, poison_share=0.1, anchor_share=0, seed=seed).rows}
        assert {"b/0", "b/1"} < rows  # b/2 is not won, b/3 was never a row, and the parent wins b/25
        assert len(rows) == 2 + round(0.1 * 18)
    every = world.rows(won_since=since, poison_share=1.0, anchor_share=0).rows
    assert {row.task_id for row in every} == {f"b/{n}" for n in range(20)}


def test_a_weight_of_one_is_not_written_and_another_is() -> None:
    tasks = {f"b/{n}": make_task(f"b/{n}", cluster="f" if n < 3 else "g") for n in range(4)}
    world = World(tasks, {task_id: make_envelope(task_id, passed=False) for task_id in tasks}, [], [])
    plain, weighed = (world.rows(focus={"family_weight": weight}) for weight in (0.0, 1.0))
    assert '"weight"' not in plain.jsonl
    assert [json.loads(line)["weight"] for line in weighed.jsonl.splitlines()] == [0.666667] * 3 + [2.0]
    assert Dataset.model_validate(weighed.model_dump(mode="json", exclude_defaults=True)) == weighed
