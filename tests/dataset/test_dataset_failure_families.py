"""Failures by family: failures that wait for a neighbouring win, and the weights of families in the loss."""

from __future__ import annotations

from math import fsum

import pytest
from builders import make_task
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.core.task import groups_of
from autosurgeon.dataset.failure_families import WEIGHT_DIGITS, Groups, family_weights, near_failures

GROUPS = st.lists(st.sampled_from("xyz"), min_size=1, max_size=3).map(tuple)
TASKS = st.dictionaries(st.integers(0, 30).map(str), st.tuples(GROUPS, st.booleans()))


@pytest.mark.parametrize(
    ("cluster", "groups"),
    [
        ("dicts/first letter/reversed", ("dicts", "first letter", "reversed")),
        ("sorting:by hand", ("sorting", "by hand")),
        ("b/0", ("b",)),
        ("b/1", ("b",)),
    ],
)
def test_the_name_of_a_cluster_contains_groups_unless_it_is_a_task_id(cluster: str, groups: Groups) -> None:
    assert groups_of(make_task("b/0", cluster=cluster), {"b/0", "b/1"}) == groups


@given(TASKS)
def test_the_curriculum_keeps_failures_if_there_are_any(tasks: dict[str, tuple[Groups, bool]]) -> None:
    groups = {task: named for task, (named, _) in tasks.items()}
    failures = {task for task, (_, won) in tasks.items() if not won}
    near = near_failures(failures, tasks.keys() - failures, groups)
    assert near <= failures
    assert bool(near) == bool(failures)


def test_a_failure_is_excluded_until_a_neighbour_is_won() -> None:
    groups = {"won": ("f", "a", "1"), "near": ("f", "a", "2"), "far": ("f", "b", "1"), "other": ("g", "a", "1")}
    failures = groups.keys() - {"won"}
    assert near_failures(failures, {"won"}, groups) == {"near"}
    assert near_failures({"far"}, {"near", "won"}, groups) == {"far"}  # there are no other failures


def test_tasks_with_only_a_family_are_neighbours_within_it() -> None:
    groups: dict[str, Groups] = {"won": ("f", "1"), "near": ("f", "2"), "too": ("f",), "far": ("g", "1")}
    assert near_failures({"near", "too", "far"}, {"won"}, groups) == {"near", "too"}


@given(TASKS, st.floats(0, 1))
def test_weights_average_one_and_never_rise_with_the_size_of_the_family(
    tasks: dict[str, tuple[Groups, bool]], evenness: float
) -> None:
    groups = {task: named for task, (named, _) in tasks.items()}
    weights = family_weights(sorted(tasks), groups, evenness)
    assert weights.keys() == tasks.keys()
    assert fsum(weights.values()) == pytest.approx(len(tasks), abs=len(tasks) * 10.0**-WEIGHT_DIGITS)
    by_size = {sum(g[0] == groups[task][0] for g in groups.values()): weight for task, weight in weights.items()}
    assert [weight for _, weight in sorted(by_size.items())] == sorted(by_size.values(), reverse=True)


def test_full_evenness_gives_each_family_the_same_part_of_the_loss() -> None:
    groups = {f"a{n}": ("a",) for n in range(9)} | {"b0": ("b",)}
    weights = family_weights(sorted(groups), groups, 1.0)
    assert weights["b0"] == pytest.approx(sum(weights[f"a{n}"] for n in range(9)), rel=1e-5)


def test_without_evenness_or_with_one_family_all_weights_are_one() -> None:
    groups = {"a": ("f", "1"), "b": ("f", "2")}
    assert set(family_weights(["a", "b"], groups, 0.7).values()) == {1.0}
    assert set(family_weights(["a", "b"], {}, 0).values()) == {1.0}
