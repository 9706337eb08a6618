"""Contrast first: the anchors that candidates lose most, and substitutes for those that cannot be rows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.dataset.contrast import contrast_first, most_lost
from autosurgeon.dataset.failure_families import Groups

NAMES = [f"t{n}" for n in range(12)]
GROUPS = st.lists(st.sampled_from("xyz"), min_size=1, max_size=3).map(tuple)
LOSSES = st.dictionaries(st.sampled_from(NAMES), st.lists(st.integers(1, 9), min_size=1, max_size=4))


def test_anchors_are_ordered_by_the_number_of_passes_that_lost_them() -> None:
    losses = {"thrice in one": [4, 4, 4], "in two": [1, 2], "once": [3], "once, later": [4], "twice in one": [2, 2]}
    assert most_lost(losses) == ["in two", "thrice in one", "twice in one", "once, later", "once"]


def test_an_anchor_that_cannot_be_a_row_has_the_nearest_of_its_family_as_substitutes() -> None:
    groups: dict[str, Groups] = {
        "gate": ("f", "a", "1"),
        "near": ("f", "a", "2"),
        "far": ("f", "b", "1"),
        "farther": ("f", "c", "1"),
        "other": ("g", "a", "1"),
    }
    wins = groups.keys() - {"gate"}
    assert contrast_first({"gate": [3]}, wins, groups, 0) == ("near",)
    assert contrast_first({"gate": [3, 3]}, wins, groups, 0) == ("near",)
    two = [contrast_first({"gate": [3, 4]}, wins, groups, seed) for seed in range(9)]
    assert {chosen[0] for chosen in two} == {"near"}
    assert {chosen[1] for chosen in two} == {"far", "farther"}
    assert set(contrast_first({"gate": [1, 2, 3, 4, 5]}, wins, groups, 0)) == {"near", "far", "farther"}


def test_lost_anchors_precede_substitutes() -> None:
    groups: dict[str, Groups] = {"gate": ("f",), "lost": ("f",), "kept": ("f",)}
    assert contrast_first({"gate": [1, 2], "lost": [2]}, {"lost", "kept"}, groups, 0) == ("lost", "kept")


@given(LOSSES, st.sets(st.sampled_from(NAMES)), st.fixed_dictionaries(dict.fromkeys(NAMES, GROUPS)), st.integers(0, 3))
def test_only_possible_rows_are_returned_once_each_with_all_lost_ones(
    losses: dict[str, list[int]], wins: set[str], groups: dict[str, Groups], seed: int
) -> None:
    first = contrast_first(losses, wins, groups, seed)
    assert len(set(first)) == len(first)
    assert losses.keys() & wins <= set(first) <= wins
    assert [task for task in first if task in losses] == [task for task in most_lost(losses) if task in wins]
    assert contrast_first(dict(reversed(losses.items())), sorted(wins, reverse=True), groups, seed) == first
