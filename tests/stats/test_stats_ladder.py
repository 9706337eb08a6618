from __future__ import annotations

from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from autosurgeon.stats.ladder import Ladder

SCORES = st.integers(0, 400)
STEPS = st.sampled_from([0.25, 1.0, 2.0, 5.0, 7.0])


@given(STEPS, SCORES, st.lists(st.floats(0, 0.999)))
def test_a_gain_of_less_than_a_step_does_not_change_the_report(step: float, first: int, parts: list[float]) -> None:
    reported, ladder = Ladder(step=step).report(first)
    for part in parts:
        again, after = ladder.report(first + part * step)
        assert (again, after) == (reported, ladder)


@given(STEPS, st.lists(SCORES, min_size=1))
def test_the_report_never_falls_and_stays_near_the_best(step: float, scores: list[int]) -> None:
    ladder, before = Ladder(step=step), -1.0
    for n, score in enumerate(scores, start=1):
        reported, ladder = ladder.report(score)
        assert reported >= before
        assert reported == ladder.reported
        assert abs(reported - max(scores[:n])) <= 1.5 * step
        before = reported


@given(STEPS, SCORES, SCORES)
def test_a_gain_of_a_step_or_more_is_always_reported(step: float, first: int, more: int) -> None:
    reported, ladder = Ladder(step=step).report(first)
    higher, _ = ladder.report(first + step + more)
    assert higher >= reported + step


@given(STEPS, st.lists(SCORES, min_size=1))
def test_the_number_of_different_reports_is_bounded_by_the_steps_climbed(step: float, scores: list[int]) -> None:
    ladder, reports = Ladder(step=step), set()
    for score in scores:
        reported, ladder = ladder.report(score)
        reports.add(reported)
    assert len(reports) <= 1 + floor((max(scores) - scores[0]) / step)
    assert all(reported % step == 0 for reported in reports)


@given(STEPS, st.lists(SCORES))
def test_a_ladder_survives_a_round_trip_through_json(step: float, scores: list[int]) -> None:
    ladder = Ladder(step=step)
    for score in scores:
        _, ladder = ladder.report(score)
    assert Ladder.model_validate_json(ladder.model_dump_json()) == ladder


def test_a_ladder_without_scores_reports_none() -> None:
    assert Ladder(step=5).reported is None


@pytest.mark.parametrize("step", [0.0, -1.0, float("inf"), float("nan")])
def test_a_step_that_is_not_positive_and_finite_is_refused(step: float) -> None:
    with pytest.raises(ValidationError):
        Ladder(step=step)
