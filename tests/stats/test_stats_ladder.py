from __future__ import annotations

from math import floor, sqrt
from statistics import pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from autosurgeon.stats.ladder import Ladder, PairedLadder

SCORES = st.integers(0, 400)
STEPS = st.sampled_from([0.25, 1.0, 2.0, 5.0, 7.0])
VECTORS = st.integers(1, 40).flatmap(
    lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=2, max_size=12)
)


@given(STEPS, SCORES, st.lists(st.floats(0, 0.999)))
def test_nothing_is_told_of_what_is_less_than_a_step_better(step: float, first: int, parts: list[float]) -> None:
    told, ladder = Ladder(step=step).tell(first)
    for part in parts:
        again, after = ladder.tell(first + part * step)
        assert (again, after) == (told, ladder)


@given(STEPS, st.lists(SCORES, min_size=1))
def test_what_is_told_never_goes_down_and_is_near_the_best(step: float, scores: list[int]) -> None:
    ladder, before = Ladder(step=step), -1.0
    for n, score in enumerate(scores, start=1):
        told, ladder = ladder.tell(score)
        assert told >= before
        assert told == ladder.told
        assert abs(told - max(scores[:n])) <= 1.5 * step
        before = told


@given(STEPS, SCORES, SCORES)
def test_a_step_or_more_is_always_told(step: float, first: int, more: int) -> None:
    told, ladder = Ladder(step=step).tell(first)
    higher, _ = ladder.tell(first + step + more)
    assert higher >= told + step


@given(STEPS, st.lists(SCORES, min_size=1))
def test_so_few_different_things_are_told(step: float, scores: list[int]) -> None:
    ladder, told = Ladder(step=step), set()
    for score in scores:
        said, ladder = ladder.tell(score)
        told.add(said)
    assert len(told) <= 1 + floor((max(scores) - scores[0]) / step)
    assert all(said % step == 0 for said in told)


@given(STEPS, st.lists(SCORES))
def test_a_ladder_read_back_goes_on_where_it_was(step: float, scores: list[int]) -> None:
    ladder = Ladder(step=step)
    for score in scores:
        _, ladder = ladder.tell(score)
    assert Ladder.model_validate_json(ladder.model_dump_json()) == ladder


def test_before_the_first_score_nothing_is_told() -> None:
    assert Ladder(step=5).told is None


@pytest.mark.parametrize("step", [0.0, -1.0, float("inf"), float("nan")])
def test_a_step_that_is_none_is_refused(step: float) -> None:
    with pytest.raises(ValidationError):
        Ladder(step=step)


@given(VECTORS)
def test_the_paired_ladder_does_what_the_paper_does_to_whole_vectors(vectors: list[list[bool]]) -> None:
    best, *others = vectors
    ladder = PairedLadder(tasks=len(best), best=sum(best))
    for other in others:
        differences = [int(now) - int(then) for now, then in zip(other, best, strict=True)]
        step = pstdev(differences) * sqrt(len(best))
        told, after = ladder.tell(differences.count(-1), differences.count(1))
        if abs(sum(differences) - step) > 1e-9:  # the two differ in rounding on the step itself
            assert (told > ladder.best) == (sum(differences) > step)
        if told > ladder.best:
            best = other
        assert told == after.best == sum(best)
        assert told >= ladder.best
        ladder = after


@pytest.mark.parametrize(
    ("lost", "gained", "told"),
    [(0, 0, 100), (0, 1, 101), (1, 2, 100), (1, 3, 102), (2, 4, 100), (10, 14, 100), (10, 16, 106), (5, 0, 100)],
)
def test_the_more_flips_the_more_must_be_gained(lost: int, gained: int, told: int) -> None:
    assert PairedLadder(tasks=264, best=100).tell(lost, gained) == (told, PairedLadder(tasks=264, best=told))


@pytest.mark.parametrize(("lost", "gained"), [(-1, 0), (0, -1), (4, 0), (0, 8)])
def test_flips_that_the_bench_cannot_have_are_refused(lost: int, gained: int) -> None:
    with pytest.raises(ValueError, match="do not fit 3 of 10 passed"):
        PairedLadder(tasks=10, best=3).tell(lost, gained)
