"""What people did, as entries of the chain, in the transactions of what else they write."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import NOON, make_contract, make_decision, make_recipe

from autosurgeon.core.decision import Override
from autosurgeon.core.hash_chain import Head
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.person import Person, PersonAct
from autosurgeon.errors import StoreError
from autosurgeon.store import decisions as judged
from autosurgeon.store.database import transaction
from autosurgeon.store.events import append
from autosurgeon.store.sqlstore import SqlStore
from autosurgeon.store.tables import QuarantineRow

ANN = Person(uid=1000, login="ann")
WORD = Override(by="ann", reason="flaky", expires_at="2031-01-01", overrules="d-1", verdict="ACCEPT")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    store = SqlStore(tmp_path / "a.db", create=True)
    yield store
    store.close()


def act(name: str, at: str = NOON, **more: object) -> PersonAct:
    return PersonAct.model_validate({"act": name, "who": ANN, "at": at} | more)


def test_an_act_is_an_entry_of_kind_person_with_the_act_as_its_subject(store: SqlStore) -> None:
    store.record_act(act("pin", reason="a demo", pack="p" * 64))
    (event,) = store.each_event()
    assert (event.kind, event.subject, event.at) == ("person", "pin", NOON)
    content = json.loads(event.payload)
    assert content["who"] == {"uid": 1000, "login": "ann", "sudo_claim": ""}
    assert (content["act"], content["reason"], content["pack"], content["until"]) == ("pin", "a demo", "p" * 64, None)
    assert [(entry.seq, entry.act.reason) for entry in store.acts()] == [(1, "a demo")]


def test_an_act_may_be_made_of_where_the_chain_ends(store: SqlStore) -> None:
    store.record_act(act("pin"))
    head = store.head()
    seen = list[Head]()

    def make(found: Head) -> PersonAct:
        seen.append(found)
        return act("rotate-key")

    assert store.record_act(make).act == "rotate-key"
    assert seen == [head]
    last = store.last_act("rotate-key")
    assert last is not None
    assert last.seq == 2
    assert store.last_act("gc") is None


def test_an_override_and_its_act_are_one_transaction(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.begin_pass(make_recipe(), "parent", "live", make_contract())
    decision = make_decision("d-1-override-1", pass_number=1, action="override", override=WORD)

    def fail(*_: object) -> None:
        raise StoreError("the disk went away")

    with monkeypatch.context() as patch, pytest.raises(StoreError):
        patch.setattr(judged, "append_act", fail)
        store.decide(decision, state=PassState.REJECTED, act=act("override", pass_number=1))
    assert store.decisions() == []
    assert store.get_pass(1).state == PassState.PROPOSED
    store.decide(decision, state=PassState.REJECTED, act=act("override", pass_number=1))
    kinds = [event.kind for event in store.each_event()]
    assert kinds[-3:] == ["decision", "person", "rows"]
    (entry,) = store.acts()
    assert entry.act.decision == "d-1-override-1"


def test_a_quarantine_is_listed_once_and_by_whom(store: SqlStore) -> None:
    store.quarantine("b/0", "flaky", ANN, "2031-01-01")
    (entry,) = store.acts()
    assert (entry.act.act, entry.act.task, entry.act.who, entry.act.until) == ("quarantine", "b/0", ANN, "2031-01-01")


def test_older_acts_that_are_no_entries_are_listed_with_their_person(store: SqlStore) -> None:
    store.begin_pass(make_recipe(), "parent", "live", make_contract())
    store.decide(make_decision("d-1-override-1", pass_number=1, action="override", override=WORD))
    with transaction(store._engine) as session:
        row = QuarantineRow(task_id="b/1", reason="broken", by="bob", at="2029-01-01", expires_at="2031-01-01")
        session.add(row)
        append(session, row.at, "quarantine", "b/1", {})
    found = [(entry.seq, entry.act.act, entry.act.who, entry.act.reason) for entry in store.acts()]
    assert found == [
        (None, "quarantine", Person(login="bob"), "broken"),
        (None, "override", Person(login="ann"), "flaky"),
    ]
    assert [entry.act.act for entry in store.acts(since="2029-06-01")] == ["override"]
    assert [entry.act.act for entry in store.acts(pass_number=2)] == ["quarantine"]


def test_acts_since_a_time_are_found_from_there(store: SqlStore) -> None:
    for day in range(1, 29):
        store.record_act(act("pause" if day % 2 else "resume", at=f"2030-02-{day:02}T00:00:00.000000+00:00"))
    for day in (1, 2, 13, 28):
        found = [entry.seq for entry in store.acts(since=f"2030-02-{day:02}T00:00:00.000000+00:00")]
        assert found == list(range(day, 29))
    assert store.acts(since="2031") == []


@pytest.mark.parametrize("content", [{"act": "pin"}, {"act": "fly", "wings": 2}, [], "pin"])
def test_an_act_that_cannot_be_read_is_named_by_its_entry(store: SqlStore, content: object) -> None:
    with transaction(store._engine) as session:
        append(session, NOON, "person", "pin", content)
    with pytest.raises(StoreError, match="entry 1 of the chain"):
        store.acts()
