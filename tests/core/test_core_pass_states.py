from __future__ import annotations

import itertools

import pytest

from autosurgeon.core.pass_states import TRANSITIONS, PassState

PATH_TO_CONFIRMED = [
    PassState(name) for name in ("PROPOSED", "PLANNED", "READY", "TRAINED", "SMOKED", "PACKED", "LIVE", "CONFIRMED")
]
GUARDED = PATH_TO_CONFIRMED[:6]


def reachable(start: PassState) -> set[PassState]:
    seen: set[PassState] = set()
    todo = [start]
    while todo:
        for state in TRANSITIONS[todo.pop()] - seen:
            seen.add(state)
            todo.append(state)
    return seen


def test_the_table_contains_every_state() -> None:
    assert set(TRANSITIONS) == set(PassState)


def test_a_pass_reaches_live_only_through_every_gate() -> None:
    for here, there in itertools.pairwise(PATH_TO_CONFIRMED):
        assert there in TRANSITIONS[here]
        assert not (TRANSITIONS[here] & set(PATH_TO_CONFIRMED)) - {there}


@pytest.mark.parametrize("state", PassState)
def test_no_state_is_entered_twice(state: PassState) -> None:
    assert state not in reachable(state)


@pytest.mark.parametrize("state", GUARDED)
def test_a_pass_that_is_not_live_can_end_in_any_state(state: PassState) -> None:
    assert TRANSITIONS[state] >= {PassState.REJECTED, PassState.HELD, PassState.FAILED, PassState.SUPERSEDED}


def test_a_live_pass_is_confirmed_or_reverted_and_nothing_else() -> None:
    assert TRANSITIONS[PassState.LIVE] == {PassState.CONFIRMED, PassState.REVERTED}


def test_only_a_packed_or_accepted_pass_becomes_live() -> None:
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
