from __future__ import annotations

import itertools

import pytest

from autosurgeon.core.pass_states import TRANSITIONS, PassState

ROAD = [
    PassState(name) for name in ("PROPOSED", "PLANNED", "READY", "TRAINED", "SMOKED", "PACKED", "LIVE", "CONFIRMED")
]
GUARDED = ROAD[:6]


def reachable(start: PassState) -> set[PassState]:
    seen: set[PassState] = set()
    todo = [start]
    while todo:
        for state in TRANSITIONS[todo.pop()] - seen:
            seen.add(state)
            todo.append(state)
    return seen


def test_every_state_stands_in_the_table() -> None:
    assert set(TRANSITIONS) == set(PassState)


def test_a_pass_goes_through_every_gate_on_its_way_to_live() -> None:
    for here, there in itertools.pairwise(ROAD):
        assert there in TRANSITIONS[here]
        assert not (TRANSITIONS[here] & set(ROAD)) - {there}


@pytest.mark.parametrize("state", PassState)
def test_no_state_is_entered_twice(state: PassState) -> None:
    assert state not in reachable(state)


@pytest.mark.parametrize("state", GUARDED)
def test_a_pass_that_is_not_live_can_end_at_any_time(state: PassState) -> None:
    assert TRANSITIONS[state] >= {PassState.REJECTED, PassState.HELD, PassState.FAILED, PassState.SUPERSEDED}


def test_a_live_pass_is_confirmed_or_reverted_and_nothing_else() -> None:
    assert TRANSITIONS[PassState.LIVE] == {PassState.CONFIRMED, PassState.REVERTED}


def test_only_a_packed_pass_becomes_live_at_once_or_once_it_is_deployed() -> None:
    into_live = [state for state in PassState if PassState.LIVE in TRANSITIONS[state]]
    assert into_live == [PassState.PACKED, PassState.ACCEPTED]
    assert [state for state in PassState if PassState.ACCEPTED in TRANSITIONS[state]] == [PassState.PACKED]


def test_exactly_six_states_are_final() -> None:
    assert [state.value for state in PassState if state.is_finished] == [
        "CONFIRMED",
        "REVERTED",
        "REJECTED",
        "HELD",
        "FAILED",
        "SUPERSEDED",
    ]
