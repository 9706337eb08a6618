"""Several writers at once: every number is given once, and nothing that one of them wrote is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from builders import make_contract, make_decision, make_recipe
from databases import Place

from autosurgeon.core.decision import Alpha
from autosurgeon.errors import StoreError, WorkspaceError
from autosurgeon.store.database import snapshot, transaction
from autosurgeon.store.sqlstore import SqlStore

WRITERS, TIMES = 4, 5


def at_once(place: Place, work: Callable[[SqlStore, int], object]) -> list[object]:
    """What several writers come back with, each with a store of its own; a StoreError is an answer too."""
    start = threading.Barrier(WRITERS)

    def write(writer: int) -> list[object]:
        store, found = SqlStore(place), []
        start.wait()
        for time in range(TIMES):
            try:
                found.append(work(store, writer * TIMES + time))
            except StoreError as error:
                found.append(error)
        store.close()
        return found

    with ThreadPoolExecutor(WRITERS) as pool:
        return [answer for answers in pool.map(write, range(WRITERS)) for answer in answers]


def test_passes_are_numbered_without_gaps_and_without_twins(store: SqlStore, place: Place) -> None:
    found = at_once(place, lambda mine, _: mine.begin_pass(make_recipe(), "parent", "live", make_contract()))
    assert sorted(map(str, found)) == sorted(str(number) for number in range(1, WRITERS * TIMES + 1))


def test_live_versions_go_up_by_one_and_are_those_of_their_decisions(store: SqlStore, place: Place) -> None:
    at_once(place, lambda mine, n: mine.decide(make_decision(f"d-{n}"), live_pack=f"p-{n}"))
    history = store.live_history()
    assert [live.version for live in history] == list(range(1, WRITERS * TIMES + 1))
    assert [live.decision_id for live in history] == [decision.decision_id for decision in store.decisions()]
    assert [decision.live_version for decision in store.decisions()] == [live.version for live in history]


def test_a_look_is_paid_for_by_one(store: SqlStore, place: Place) -> None:
    alpha = Alpha(look=1, spent=0.03, left=0.02)
    found = at_once(place, lambda mine, n: mine.pay_look(n, alpha))
    assert sum(answer is None for answer in found) == 1
    assert store.looks() == [alpha]


def test_attempts_are_counted_one_by_one(store: SqlStore, place: Place) -> None:
    at_once(place, lambda mine, n: mine.record_failure("s", "train", f"error {n}", 1.0))
    assert [stage.attempt for stage in store.stages("s")] == list(range(1, WRITERS * TIMES + 1))


def test_a_policy_that_all_keep_is_kept_once(store: SqlStore, place: Place) -> None:
    assert at_once(place, lambda mine, n: mine.keep_policy("d", str(n))) == [None] * WRITERS * TIMES


def test_a_writer_waits_for_the_other_before_it_reads(store: SqlStore, place: Place) -> None:
    order: list[str] = []
    second = threading.Thread(
        target=lambda: order.append(f"pass {store.begin_pass(make_recipe(), 'p', 'l', make_contract())}")
    )
    with transaction(store._engine):
        second.start()
        second.join(0.3)
        order.append("first is done")
    second.join(30)
    assert order == ["first is done", "pass 1"]


def test_a_reader_sees_one_state_and_does_not_wait(store: SqlStore, place: Place) -> None:
    for number in (1, 2):
        store.decide(make_decision(f"d-{number}"))
    reading = store.each_decision()
    assert next(reading).decision_id == "d-1"
    store.decide(make_decision("d-3"))
    assert [decision.decision_id for decision in reading] == ["d-2"]
    with transaction(store._engine), snapshot(store._engine):
        assert len(store.decisions()) == 3


def test_one_loop_works_on_a_database(url: str) -> None:
    store, other = SqlStore(url, create=True), SqlStore(url)
    with store.sole_loop():
        with pytest.raises(WorkspaceError, match="another loop works on this database"), other.sole_loop():
            pytest.fail("held twice")
        assert other.begin_pass(make_recipe(), "parent", "live", make_contract()) == 1
    with other.sole_loop():
        pass
    store.close()
    other.close()
