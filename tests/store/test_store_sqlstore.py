from __future__ import annotations

import pytest
from builders import make_contract, make_decision, make_envelope, make_recipe, make_results
from databases import Place, run_sql
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from autosurgeon.core.decision import Alpha
from autosurgeon.core.pack import Lineage, Manifest, PackedFile
from autosurgeon.core.pass_states import TRANSITIONS, PassState
from autosurgeon.core.person import Person
from autosurgeon.core.records import Feedback
from autosurgeon.core.stage_results import BenchResult, MergeStageResult
from autosurgeon.errors import StoreError, UserError
from autosurgeon.store.sqlstore import SqlStore

ROAD = [PassState(name) for name in ("PLANNED", "READY", "TRAINED", "SMOKED", "PACKED", "LIVE", "CONFIRMED")]


def manifest(name: str) -> Manifest:
    return Manifest(files={name: PackedFile(sha256=name, bytes=1)}, lineage=Lineage())


def begin(store: SqlStore, *road: PassState) -> int:
    number = store.begin_pass(make_recipe(), "parent", "live", make_contract())
    for state in road:
        store.advance(number, state)
    return number


def test_a_new_pass_is_proposed_and_numbers_go_up(store: SqlStore) -> None:
    recipe = make_recipe(lr=1.23456789e-4, epochs=2)
    assert store.begin_pass(recipe, "parent", "live", make_contract()) == 1
    assert store.begin_pass(recipe, "parent", "live", make_contract()) == 2
    record = store.get_pass(1)
    assert (record.state, record.recipe, record.parent, record.live_before) == (
        PassState.PROPOSED,
        recipe,
        "parent",
        "live",
    )
    assert record.ended_at is None
    assert [p.number for p in store.passes()] == [1, 2]


def test_asking_for_a_pass_that_is_not_there_is_the_users_mistake(store: SqlStore) -> None:
    with pytest.raises(UserError, match="none was run yet"):
        store.get_pass(1)
    begin(store)
    with pytest.raises(UserError, match="got 7; wanted 1 to 1"):
        store.get_pass(7)


@pytest.mark.parametrize("state", PassState)
def test_only_legal_transitions_are_taken(store: SqlStore, state: PassState) -> None:
    for length in range(len(ROAD) + 1):
        number = begin(store, *ROAD[:length])
        here = store.get_pass(number).state
        if state in TRANSITIONS[here]:
            store.advance(number, state)
            assert store.get_pass(number).state == state
        else:
            with pytest.raises(StoreError, match=f"cannot go from {here} to {state}"):
                store.advance(number, state)
            assert store.get_pass(number).state == here


def test_a_finished_pass_has_an_end_and_a_failed_one_has_feedback(store: SqlStore) -> None:
    number = begin(store, PassState.PLANNED)
    store.advance(number, PassState.FAILED, reason="out of memory")
    record = store.get_pass(number)
    assert record.ended_at is not None
    assert record.reason == "out of memory"
    assert record.feedback == Feedback(failed=True)


def test_a_decision_is_written_once(store: SqlStore) -> None:
    decision = make_decision("d-1", evidence={"training.loss": 0.5})
    assert store.decide(decision) == decision
    with pytest.raises(StoreError, match=r"(?i)unique"):
        store.decide(make_decision("d-1", reason="another word"))
    assert store.decisions() == [decision]


def test_a_decision_moves_its_pass_and_is_found_by_it(store: SqlStore) -> None:
    number = begin(store)
    decision = make_decision("d-1", pass_number=number, evidence={"training.loss": 0.5})
    store.decide(make_decision("d-0"))
    store.decide(decision, state=PassState.PLANNED, feedback=Feedback(value=2.0), pack="abc")
    record = store.get_pass(number)
    assert (record.state, record.verdict, record.reason, record.pack) == (
        PassState.PLANNED,
        "ACCEPT",
        "because",
        "abc",
    )
    assert record.feedback == Feedback(value=2.0)
    assert store.decisions(number) == [decision]
    assert [d.decision_id for d in store.decisions()] == ["d-0", "d-1"]


def test_the_live_version_only_goes_up_even_when_an_old_pack_returns(store: SqlStore) -> None:
    assert store.live() is None
    for number, pack in enumerate(["one", "two", "one"], start=1):
        written = store.decide(make_decision(f"d-{number}"), live_pack=pack)
        assert (written.live_version, written.pack) == (number, pack)
    assert [(live.version, live.pack, live.decision_id) for live in store.live_history()] == [
        (1, "one", "d-1"),
        (2, "two", "d-2"),
        (3, "one", "d-3"),
    ]
    live = store.live()
    assert live is not None
    assert live.version == 3
    assert store.decisions()[-1].live_version == 3


def test_a_decision_that_fails_changes_nothing(store: SqlStore) -> None:
    number = begin(store)
    store.decide(make_decision("d-1"), live_pack="one")
    before = store.get_pass(number), store.live_history(), store.decisions()
    with pytest.raises(StoreError, match="cannot go from PROPOSED to LIVE"):
        store.decide(
            make_decision("d-2", pass_number=number),
            state=PassState.LIVE,
            feedback=Feedback(value=1.0),
            live_pack="two",
            pack="two",
        )
    with pytest.raises(StoreError):
        store.decide(make_decision("d-1", pass_number=number), state=PassState.PLANNED, live_pack="two")
    assert (store.get_pass(number), store.live_history(), store.decisions()) == before


def test_a_committed_stage_is_adopted_and_a_failed_one_is_not(store: SqlStore) -> None:
    store.record_failure("pass-0001", "merge", "CUDA out of memory", 3.0)
    assert store.stage_result("pass-0001", MergeStageResult) is None
    assert store.failed_attempts("pass-0001", "merge") == 1
    merged = MergeStageResult(pack="a", version="1")
    store.commit_stage("pass-0001", "merge", merged.content(), 9.0, "e")
    assert store.stage_result("pass-0001", MergeStageResult) == merged
    assert store.stage_result("pass-0002", MergeStageResult) is None
    assert [(s.attempt, s.error, s.seconds) for s in store.stages("pass-0001")] == [
        (1, "CUDA out of memory", 3.0),
        (2, None, 9.0),
    ]


def test_a_stage_is_committed_with_all_that_it_measured_or_not_at_all(store: SqlStore) -> None:
    results = list(make_results({"b/0": True, "b/1": False}).values())
    store.commit_stage(
        "s",
        "bench",
        {},
        1.0,
        "e",
        envelopes=("p", "bench", results),
        confirmations=("p", {"b/0": (4, 3)}),
        pack=(manifest("p"), 1),
    )
    with pytest.raises(StoreError):
        store.commit_stage("s2", "bench", {}, 1.0, "e", envelopes=("p", "bench", results), pack=(manifest("q"), 2))
    assert store.stage_result("s2", BenchResult) is None
    assert store.envelopes("p") == {envelope.task_id: envelope for envelope in results}
    assert store.confirmations("p") == {"b/0": (4, 3)}
    assert [(m, number) for m, number, _ in store.packs()] == [(manifest("p"), 1)]


def test_a_pack_that_is_made_a_second_time_keeps_its_first_samples(store: SqlStore) -> None:
    store.commit_stage("s", "confirm", {}, 1.0, "e", confirmations=("p", {"b/0": (8, 8)}))
    store.commit_stage("s2", "confirm", {}, 1.0, "e", confirmations=("p", {"b/0": (8, 7), "b/1": (8, 8)}))
    assert store.confirmations("p") == {"b/0": (8, 8), "b/1": (8, 8)}


def test_the_newest_result_of_a_task_is_its_record_over_all_occasions(store: SqlStore) -> None:
    first, second = make_envelope(passed=True), make_envelope(passed=False)
    store.commit_stage("s", "bench", {}, 1.0, "e", envelopes=("p", "bench", [first]))
    store.commit_stage("s", "watch", {}, 1.0, "e", envelopes=("p", "watch", [second]))
    assert store.envelopes("p") == {"b/0": second}
    assert store.envelopes("p", "bench") == {"b/0": first}
    assert store.envelopes("q") == {}


def test_a_pack_that_two_recipes_made_keeps_its_first_name(store: SqlStore) -> None:
    for number in (1, 2):
        store.commit_stage(f"pass-{number}", "pack", {}, 1.0, "e", pack=(manifest("p"), number))
    assert [number for _, number, _ in store.packs()] == [1]


def test_a_run_that_was_killed_is_closed_by_the_next(store: SqlStore, place: Place) -> None:
    first = store.begin_run(3, None)
    store.count_pass(first)
    second = store.begin_run(None, 1.5)
    assert second > first
    store.end_run(second, "done")
    run = store.last_run()
    assert run is not None
    assert (run.id, run.passes_done, run.hours_limit, run.end_reason) == (second, 0, 1.5, "done")
    assert run_sql(place, "SELECT passes_done, end_reason FROM run ORDER BY id") == [(1, "killed"), (0, "done")]


def test_everything_is_still_there_after_opening_again(store: SqlStore, place: Place) -> None:
    number = begin(store, PassState.PLANNED)
    store.decide(make_decision("d-1", pass_number=number), live_pack="one")
    again = SqlStore(place)
    try:
        assert again.passes() == store.passes()
        assert again.decisions() == store.decisions()
        assert again.live() == store.live()
    finally:
        again.close()


def test_a_database_that_lost_a_table_stops_the_loop(store: SqlStore, place: Place) -> None:
    run_sql(place, "DROP TABLE decision")
    with pytest.raises(StoreError, match=r"no such table|does not exist"):
        store.decisions()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@example(text="\0 and ␀ and ␀0\0␀")
@given(text=st.text(st.characters(codec="utf-8")))
def test_any_text_is_remembered_as_it_was(store: SqlStore, text: str) -> None:
    number = begin(store)
    decision = make_decision(f"d-{number}", pass_number=number, reason=text)
    store.decide(decision, state=PassState.HELD)
    assert store.decisions(number) == [decision]
    assert store.get_pass(number).reason == text


def test_a_look_is_paid_for_once_a_pass(store: SqlStore) -> None:
    number = begin(store)
    alpha = Alpha(look=1, spent=0.03, left=0.02)
    store.pay_look(number, alpha)
    assert (store.look_of(number), store.looks()) == (alpha, [alpha])
    with pytest.raises(StoreError):
        store.pay_look(number, Alpha(look=2, spent=0.01, left=0.01))
    assert store.look_of(number + 1) is None


def test_the_newest_quarantine_of_an_anchor_counts(store: SqlStore) -> None:
    store.quarantine("b/0", "flaky", Person(login="ann"), "2030-01-01T00:00:00+00:00")
    store.quarantine("b/0", "broken", Person(login="bob"), "2031-01-01T00:00:00+00:00")
    assert store.quarantines()["b/0"].by == "bob"


def test_a_policy_is_kept_once_by_its_digest(store: SqlStore) -> None:
    store.keep_policy("d", "one")
    store.keep_policy("d", "two")
    assert (store.policy("d"), store.policy("e")) == ("one", None)


def test_only_an_override_opens_a_pass_that_is_over(store: SqlStore) -> None:
    number = begin(store, PassState.HELD)
    with pytest.raises(StoreError, match="cannot go from HELD"):
        store.decide(make_decision("d-1", pass_number=number), state=PassState.SMOKED)
    store.decide(make_decision("d-2", pass_number=number, action="override"), state=PassState.SMOKED)
    assert (store.get_pass(number).state, store.get_pass(number).ended_at) == (PassState.SMOKED, None)
    done = begin(store, *ROAD)
    with pytest.raises(StoreError):
        store.decide(make_decision("d-3", pass_number=done, action="override"), state=PassState.SMOKED)


def test_decisions_can_be_read_one_at_a_time_and_by_id(store: SqlStore) -> None:
    for number in range(3):
        store.decide(make_decision(f"d-{number}"))
    assert [decision.decision_id for decision in store.each_decision()] == ["d-0", "d-1", "d-2"]
    assert store.decision("d-1").decision_id == "d-1"
    with pytest.raises(UserError, match="no such decision"):
        store.decision("d-9")


def test_a_stage_that_was_run_again_has_its_last_output(store: SqlStore) -> None:
    store.commit_stage("s", "merge", {"pack": "a"}, 1.0, "e")
    store.commit_stage("s", "merge", {"pack": "b"}, 1.0, "f")
    assert store.effect("s", MergeStageResult, "merge") == ("f", MergeStageResult(pack="b"))
    assert store.stage_result("s", MergeStageResult) == MergeStageResult(pack="b")


def test_the_begins_of_a_stage_that_never_end_are_counted_until_it_ends(store: SqlStore) -> None:
    assert [store.begin_stage("s", "train") for _ in range(3)] == [0, 1, 2]
    assert store.begin_stage("s", "smoke") == store.begin_stage("s2", "train") == 0
    store.record_failure("s", "train", "CUDA out of memory", 3.0)
    assert store.begin_stage("s", "train") == 0
    store.commit_stage("s", "train", {}, 1.0, "e")
    assert store.begin_stage("s", "train") == 0
    store.put_off_stage("s", "train")
    assert store.begin_stage("s", "train") == 0


def test_a_pass_keeps_what_it_was_begun_under(store: SqlStore) -> None:
    contract = make_contract(policy="strict")
    number = store.begin_pass(make_recipe(), "parent", "live", contract)
    assert store.get_pass(number).contract == contract


def test_a_stored_result_that_does_not_parse_is_a_fault_of_the_memory(store: SqlStore) -> None:
    store.commit_stage("pass-0001", "merge", {"version": "1"}, 1.0, "e")
    with pytest.raises(StoreError, match=r"stage merge of pass-0001 .* pack: Field required"):
        store.stage_result("pass-0001", MergeStageResult)
