"""The order of a smoke: the most fragile anchors first, and nothing left out."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.core.records import AnchorRun
from autosurgeon.loop.stages.anchor_order import Fragility, fragile_first, fragility_of, growing

ANCHORS = [f"b/{number}" for number in range(12)]
outcomes = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 4)).map(lambda run: (max(run), run[1])), max_size=6)
fragilities = st.builds(
    lambda tries, passed, won: fragility_of(runs(*tries), (4, passed), (9, won)),
    outcomes,
    st.integers(0, 4),
    st.integers(0, 9),
)
known = st.dictionaries(st.sampled_from(ANCHORS), fragilities)


def runs(*outcomes: tuple[int, int]) -> list[AnchorRun]:
    return [AnchorRun(f"o-{n}", "b/0", tries, passed) for n, (tries, passed) in enumerate(outcomes)]


@given(st.sets(st.sampled_from(ANCHORS)), known, st.integers(0, 99))
def test_every_anchor_is_in_the_order_once_and_the_order_is_the_same_again(
    anchors: set[str], known: dict[str, Fragility], seed: int
) -> None:
    order = fragile_first(anchors, known, seed)
    assert sorted(order) == sorted(anchors)
    assert fragile_first(sorted(anchors, reverse=True), known, seed) == order


@given(known, st.integers(0, 99))
def test_an_anchor_that_a_candidate_lost_comes_before_one_that_none_did(known: dict[str, Fragility], seed: int) -> None:
    order = fragile_first(ANCHORS, known, seed)
    lost = [known.get(task, Fragility()).losses > 0 for task in order]
    assert lost == sorted(lost, reverse=True)


def test_losses_weigh_more_than_flakes_and_those_more_than_thin_samples_and_those_more_than_rarity() -> None:
    ordered = [
        fragility_of(runs((4, 0), (4, 0), (1, 1))),
        fragility_of(runs((4, 0))),
        fragility_of(runs((2, 1))),
        fragility_of(samples=(4, 3)),
        fragility_of(samples=(4, 4), family=(9, 1)),
        fragility_of(runs((1, 1)), (4, 4), (9, 8)),
    ]
    assert ordered == sorted(ordered, reverse=True)
    assert len(set(ordered)) == len(ordered)


def test_anchors_of_which_nothing_is_known_are_in_another_order_with_another_seed() -> None:
    assert len({tuple(fragile_first(ANCHORS, {}, seed)) for seed in range(5)}) == 5


@given(st.integers(0, 300), st.integers(1, 64))
def test_batches_grow_up_to_the_largest_and_leave_nothing_out(count: int, most: int) -> None:
    order = [str(number) for number in range(count)]
    batches = growing(order, most)
    assert [task for batch in batches for task in batch] == order
    sizes = [len(batch) for batch in batches]
    assert all(size <= most for size in sizes)
    assert sizes[:1] == [min(8, most, count)] * bool(count)
    assert all(after >= before for before, after in pairwise(sizes[:-1]))
