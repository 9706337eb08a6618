"""Every write that matters leaves its event in the same transaction, and two writers never make one twice."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import NOON, make_contract, make_decision, make_recipe
from databases import make_at

from autosurgeon.core.decision import Alpha
from autosurgeon.core.digest import digest_text
from autosurgeon.core.hash_chain import GENESIS, Head, Walk, digest_records
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.person import Person
from autosurgeon.core.records import AnchorRun
from autosurgeon.core.row_lines import digest_lines
from autosurgeon.errors import StoreError
from autosurgeon.store.sqlstore import SqlStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "autosurgeon.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlStore]:
    store = SqlStore(path, create=True)
    yield store
    store.close()


def breaks(store: SqlStore) -> list[object]:
    walk = Walk()
    return [broken for event in store.each_event() if (broken := walk.step(event))]


def test_a_new_workspace_has_an_empty_chain(store: SqlStore) -> None:
    assert (store.head(), list(store.each_event())) == (Head(0, GENESIS), [])


def test_what_is_written_leaves_an_event_each_in_order(store: SqlStore) -> None:
    killed, run = store.begin_run(3, None), store.begin_run(None, 1.5)
    number = store.begin_pass(make_recipe(), "parent", "live", make_contract())
    store.advance(number, PassState.PLANNED)
    store.begin_stage("pass-0001", "dataset")
    store.record_failure("pass-0001", "dataset", "disk", 1.0)
    store.commit_stage("pass-0001", "dataset", {"rows": 3}, 2.0, "e")
    decision = make_decision("d-1", pass_number=number, evidence={"training.loss": 0.5})
    store.decide(decision, state=PassState.REJECTED)
    store.quarantine("b/0", "flaky", Person(login="ann"), "2030-01-01T00:00:00+00:00")
    store.keep_policy("digest", "{}")
    store.pay_look(number, Alpha(look=1, spent=0.03, left=0.02))
    store.end_run(run, "passes")
    whole = list(store.each_event())
    events = [event for event in whole if event.kind != "rows"]
    assert [(event.kind, event.subject) for event in events] == [
        ("run-begun", f"run-{killed}"),
        ("run-ended", f"run-{killed}"),
        ("run-begun", f"run-{run}"),
        ("pass-begun", "pass-0001"),
        ("pass-moved", "pass-0001"),
        ("stage-begun", "pass-0001"),
        ("stage-failed", "pass-0001"),
        ("stage", "pass-0001"),
        ("decision", "d-1"),
        ("quarantine", "b/0"),
        ("person", "quarantine"),
        ("policy-kept", "digest"),
        ("look-paid", "pass-0001"),
        ("run-ended", f"run-{run}"),
    ]
    stage, decided = json.loads(events[7].payload), json.loads(events[8].payload)
    assert stage == {"stage": "dataset", "attempt": 2, "seconds": 2, "output": digest_text('{"rows": 3}')} | {
        "effect_id": "e"
    }
    assert decided == decision.record()
    assert breaks(store) == []
    assert store.head() == Head(26, whole[-1].hash)


def test_every_transaction_ends_with_the_digests_of_its_rows(store: SqlStore) -> None:
    run = store.begin_run(3, None)
    store.begin_stage("s", "train")
    store.commit_stage("s", "train", {}, 2, "e", anchor_runs=[AnchorRun("o", f"b/{n}", 3, n) for n in range(3)])
    store.count_pass(run)
    entries = [(e.subject, json.loads(e.payload)) for e in store.each_event() if e.kind == "rows"]
    assert [(subject, {table: counts[0] for table, counts in rows["added"].items()}) for subject, rows in entries] == [
        ("run-1", {}),
        ("s", {}),
        ("s", {"stage": 1, "anchor_run": 3}),
        ("1", {}),
    ]
    assert [{table: list(digests) for table, digests in rows["kept"].items()} for _, rows in entries] == [
        {"run": ["1"]},
        {"begun": ["s/train"]},
        {"begun": ["s/train"], "spent": ["1"]},
        {"run": ["1"]},
    ]
    assert [entries[n][1]["kept"]["begun"]["s/train"] is None for n in (1, 2)] == [False, True]
    extent, last = store.extent(), entries[2][1]["added"]
    assert digest_lines(store.each_line("anchor_run", last=extent.rows.added["anchor_run"])) == last["anchor_run"][1]
    assert extent.rows.kept["run"] == entries[3][1]["kept"]["run"]


def test_what_failed_leaves_no_event(store: SqlStore) -> None:
    number = store.begin_pass(make_recipe(), "parent", "live", make_contract())
    with pytest.raises(StoreError):
        store.advance(number, PassState.LIVE)
    with pytest.raises(StoreError):
        store.decide(make_decision("d-1", pass_number=number), state=PassState.LIVE, live_pack="p")
    assert store.head().size == 2


def test_the_chain_is_read_in_parts_and_from_anywhere(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        store.decide(make_decision(f"d-{number}"))
    monkeypatch.setattr("autosurgeon.store.read_chain.PART", 3)
    assert [event.seq for event in store.each_event()] == [1, 2, 3, 4, 5, 6, 7]
    assert [event.seq for event in store.each_event(after=2, last=6)] == [3, 4, 5, 6]
    assert [entry.decision_id for entry in store.each_record(last=6)] == [f"d-{number}" for number in range(6)]
    assert store.extent()[:2] == (7, 7)


def test_writers_at_once_make_one_chain(path: Path) -> None:
    SqlStore(path, create=True).close()
    program = (
        "import sys, pathlib; from autosurgeon.store.sqlstore import SqlStore\n"
        "store = SqlStore(pathlib.Path(sys.argv[1]))\n"
        "from autosurgeon.core.person import Person\n"
        "until = '2030-01-01T00:00:00+00:00'\n"
        "for n in range(40): store.quarantine(f'{sys.argv[2]}/{n}', 'r', Person(login='b'), until)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, path, name]) for name in "abc"]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0]
    store = SqlStore(path)
    assert store.head().size == 360
    assert breaks(store) == []
    store.close()


def test_a_workspace_from_before_the_chain_begins_it_with_the_digest_of_its_decisions(path: Path) -> None:
    path.parent.mkdir()
    make_at(path, "0002")
    records = [json.dumps(make_decision(f"d-{number}").record()) for number in range(3)]
    with sqlite3.connect(path) as database:
        insert = "INSERT INTO decision (decision_id, action, record, at) VALUES (?, 'continue', ?, ?)"
        database.executemany(insert, [(f"d-{number}", record, NOON) for number, record in enumerate(records)])
        database.execute("DROP TABLE alembic_version")
        database.execute("PRAGMA user_version=2")
    database.close()
    for _ in range(2):
        store = SqlStore(path)
        (event,) = store.each_event()
        store.close()
        assert (event.seq, event.kind) == (1, "adopted")
        count, digest = digest_records(records)
        assert json.loads(event.payload) == {"decisions": count, "digest": digest} == {"decisions": 3, "digest": digest}


def test_a_chain_that_was_emptied_is_not_begun_again(store: SqlStore, path: Path) -> None:
    store.decide(make_decision("d-1"))
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM event")
    connection.close()
    again = SqlStore(path)
    assert again.head().size == 0
    again.close()
