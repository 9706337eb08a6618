"""Rotations: every old checkpoint verifies by the key of its time, and a key outside its span is a finding."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import audited
import pytest
from builders import NOON, make_decision

from autosurgeon.audit.checkpoints import checkpoint_files, write_checkpoint
from autosurgeon.audit.keys import STAGED, kept_name, make_key, signer_for
from autosurgeon.audit.rotation import kept_unvouched, read_rotation, rotation_files, unvouched_in
from autosurgeon.audit.signing import PRIVATE, PUBLIC, generate_signer, private_signer, public_key, signed
from autosurgeon.core.hash_chain import Head, link
from autosurgeon.core.person import Person
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import UserError
from autosurgeon.loop.keys import ready_key, rotate_key
from autosurgeon.store.sqlstore import SqlStore

ANN = Person(uid=1000, login="ann")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return audited.build(tmp_path / "w", passes=1)


@pytest.fixture
def store(workspace: Workspace) -> Iterator[SqlStore]:
    store = SqlStore(workspace.database)
    yield store
    store.close()


def rotate(workspace: Workspace, store: SqlStore, *, lost: bool = False, copies: Path | None = None) -> int:
    """Rotate, and add what is signed by the new key; the rotation's entry."""
    made = rotate_key(workspace, store, copies, print, who=ANN, reason="a new year", lost=lost)
    store.decide(make_decision(f"after-{made.head.size}"))
    audited.publish(workspace, store)
    return made.head.size + 1


def keyids(workspace: Workspace) -> list[str]:
    """Who signed each checkpoint, oldest first."""
    files = checkpoint_files(workspace.checkpoints)
    return [json.loads(path.read_bytes())["signatures"][0]["keyid"] for path in files]


def test_old_checkpoints_verify_by_the_key_of_their_time(workspace: Workspace, store: SqlStore) -> None:
    first = public_key(workspace.keys / PUBLIC)
    before = len(checkpoint_files(workspace.checkpoints))
    one = rotate(workspace, store)
    two = rotate(workspace, store)
    found = audited.check(workspace)
    assert found.whole, found.findings
    assert found.unvouched == ()
    assert len(set(keyids(workspace))) == 3
    assert set(keyids(workspace)[:before]) == {first.keyid}
    assert public_key(workspace.keys / kept_name(first.keyid)) == first
    assert [path.name for path in rotation_files(workspace.keys)] == [
        f"rotation-{one:08d}.json",
        f"rotation-{two:08d}.json",
    ]
    assert not (workspace.keys / STAGED).exists()
    acts = [(entry.seq, entry.act.act, entry.act.who, entry.act.reason) for entry in store.acts_named("rotate-key")]
    assert acts == [(one, "rotate-key", ANN, "a new year"), (two, "rotate-key", ANN, "a new year")]
    for path in checkpoint_files(workspace.checkpoints):
        assert audited.check(workspace, path).whole


def test_a_rotation_is_signed_by_both_keys_and_names_where_the_chain_stood(
    workspace: Workspace, store: SqlStore
) -> None:
    old = public_key(workspace.keys / PUBLIC)
    seq = rotate(workspace, store)
    (entry,) = store.acts_named("rotate-key")
    rotation = read_rotation(entry.act)
    assert (rotation.head.size, rotation.old, rotation.lost, rotation.wrong) == (seq - 1, old, False, "")
    assert {one["keyid"] for one in entry.act.detail["statement"]["signatures"]} == {old.keyid, rotation.new.keyid}
    assert "ann" not in json.dumps(entry.act.detail)


def test_a_key_that_others_could_read_is_rotated(workspace: Workspace, store: SqlStore) -> None:
    (workspace.keys / PRIVATE).chmod(0o644)
    rotate(workspace, store)
    assert audited.check(workspace).whole


@pytest.mark.parametrize("left", [[PUBLIC], [], ["copy"], [PRIVATE, PUBLIC]])
def test_a_lost_key_is_replaced_in_the_open(
    workspace: Workspace, store: SqlStore, tmp_path: Path, left: list[str]
) -> None:
    old, copies = public_key(workspace.keys / PUBLIC), tmp_path / "copies"
    if "copy" in left:
        copies.mkdir()
        (copies / PUBLIC).write_bytes((workspace.keys / PUBLIC).read_bytes())
    for name in {PRIVATE, PUBLIC} - {*left}:
        (workspace.keys / name).unlink()
    if PRIVATE in left:
        (workspace.keys / PRIVATE).write_bytes(b"damaged")
    with pytest.raises(UserError):
        rotate(workspace, store)
    seq = rotate(workspace, store, lost=True, copies=copies if "copy" in left else None)
    found = audited.check(workspace)
    new = public_key(workspace.keys / PUBLIC).keyid
    assert [(one.seq, one.key) for one in found.unvouched] == [(seq, new)]
    assert f"from entry {seq} on" in found.unvouched[0].words
    assert kept_unvouched(workspace.keys) == unvouched_in(store.acts()) == found.unvouched
    if left:
        assert found.whole, found.findings
        assert public_key(workspace.keys / kept_name(old.keyid)) == old
    else:
        # What the old key signed cannot be verified any more, until its public half is put back.
        assert found.first is not None
        assert "public key is missing" in found.first.got
        (workspace.keys / kept_name(old.keyid)).write_bytes(json.dumps({"keyid": old.keyid, **old.to_dict()}).encode())
        assert audited.check(workspace).whole
    if PRIVATE in left:
        assert (workspace.keys / f"{PRIVATE}.set-aside").read_bytes() == b"damaged"


def test_a_key_that_is_there_is_not_lost(workspace: Workspace, store: SqlStore) -> None:
    before = store.head()
    with pytest.raises(UserError, match="the signing key is not lost"):
        rotate(workspace, store, lost=True)
    assert store.head() == before
    assert not (workspace.keys / STAGED).exists()


@pytest.mark.parametrize("lost", [True, False])
def test_where_nothing_was_signed_there_is_nothing_to_rotate(tmp_path: Path, lost: bool) -> None:
    workspace = Workspace(tmp_path)
    store = SqlStore(workspace.database, create=True)
    store.begin_run(1, None)
    with pytest.raises(UserError, match="no key to rotate yet"):
        rotate(workspace, store, lost=lost)
    assert not workspace.keys.exists()
    store.close()


def test_a_backup_of_the_old_pair_is_refused_after_a_rotation(workspace: Workspace, store: SqlStore) -> None:
    old = {name: (workspace.keys / name).read_bytes() for name in (PRIVATE, PUBLIC)}
    rotate(workspace, store)
    for name, raw in old.items():
        (workspace.keys / name).write_bytes(raw)
    with pytest.raises(UserError, match="the newest checkpoint is not signed with this signing key"):
        signer_for(workspace, store)
    (found,) = [found for found in audited.check(workspace).findings if found.source == "keys"]
    assert "not the key that the chain's last rotation" in found.what


def test_a_checkpoint_by_a_key_outside_its_span_is_a_finding(workspace: Workspace, store: SqlStore) -> None:
    old = private_signer(workspace.keys / PRIVATE)
    newest = checkpoint_files(workspace.checkpoints)[0]
    rotate(workspace, store)
    new = private_signer(workspace.keys / PRIVATE)
    content = json.loads(newest.read_bytes())
    newest.unlink()
    rows = audited.rows_of(workspace)
    early = Head(int(newest.stem), rows[int(newest.stem) - 1].hash)
    assert write_checkpoint(workspace.checkpoints, new, early, NOON)
    found = audited.check(workspace).first
    assert found is not None
    assert (found.source, found.seq, "key of its time" in found.got) == ("checkpoint", early.size, True)
    newest.write_text(json.dumps(content))
    assert audited.check(workspace).whole

    last = checkpoint_files(workspace.checkpoints)[-1]
    late = Head(int(last.stem), rows[-1].hash)
    last.unlink()
    assert write_checkpoint(workspace.checkpoints, old, late, NOON)
    found = audited.check(workspace).first
    assert found is not None
    assert (found.source, found.seq) == ("checkpoint", late.size)


def forge(workspace: Workspace, seq: int, statement: Any) -> None:
    """Write another statement into a rotation's entry, and link all that follows anew."""
    rows = audited.rows_of(workspace)
    anew = rows[: seq - 1]
    for row in rows[seq - 1 :]:
        payload = row.payload
        if row.seq == seq:
            content = json.loads(payload)
            content["detail"]["statement"] = statement
            payload = json.dumps(content, sort_keys=True, separators=(",", ":"))
        anew.append(link(Head(anew[-1].seq, anew[-1].hash), row.at, row.kind, row.subject, payload))
    audited.write_rows(workspace, anew, log_too=True)


@pytest.mark.parametrize("kind", ["new alone", "other old", "elsewhere", "none", "text", "of another type"])
def test_a_forged_rotation_is_a_finding_at_its_entry(workspace: Workspace, store: SqlStore, kind: str) -> None:
    seq = rotate(workspace, store)
    (entry,) = store.acts_named("rotate-key")
    import base64

    statement = entry.act.detail["statement"]
    content, new = json.loads(base64.b64decode(statement["payload"])), private_signer(workspace.keys / PRIVATE)
    other, payload_type = generate_signer(), statement["payloadType"]
    forged: dict[str, Any] = {
        "new alone": signed(content, payload_type, new),
        "other old": signed(
            content
            | {"old": {"keyid": other.public_key.keyid, **other.public_key.to_dict()}}
            | {"old_keyid": other.public_key.keyid},
            payload_type,
            other,
            new,
        ),
        "elsewhere": signed(content | {"size": 3, "lost": True}, payload_type, new),
        "none": None,
        "text": "x",
        "of another type": statement | {"payloadType": "text/plain"},
    }
    forge(workspace, seq, forged[kind])
    sources = {found.source: found for found in audited.check(workspace).findings}
    assert "checkpoint" in sources  # the old key's, or the new one's, whichever is now out of its span
    if kind != "other old":
        assert sources["keys"].seq == seq
    assert not audited.check(workspace).whole


def test_a_copy_of_an_old_checkpoint_still_verifies_and_copies_get_the_new_key(
    workspace: Workspace, store: SqlStore, tmp_path: Path
) -> None:
    from autosurgeon.audit.checkpoints import copy_checkpoint

    copies = tmp_path / "copies"
    old = checkpoint_files(workspace.checkpoints)[-1]
    copy_checkpoint(old, workspace.keys, copies)
    rotate(workspace, store, copies=copies)
    copy_checkpoint(checkpoint_files(workspace.checkpoints)[-1], workspace.keys, copies)
    for path in checkpoint_files(copies):
        assert audited.check(workspace, path).whole, path
    assert len(checkpoint_files(copies)) >= 3
    names = [path.name for path in copies.iterdir() if "public" in path.name or "rotation" in path.name]
    assert len(names) == 4  # the first key under two names, the second, and the statement between them

    for name in (PRIVATE, PUBLIC):
        (workspace.keys / name).unlink()
    for path in (*workspace.keys.glob("public-*.json"), *rotation_files(workspace.keys)):
        path.unlink()
    make_key(workspace.keys)
    found = audited.check(workspace, copies / old.name)
    assert "keys" in [finding.source for finding in found.findings]


@pytest.mark.parametrize("cut", ["staged", "recorded", "kept", "published"])
def test_a_rotation_that_was_cut_short_is_finished_by_the_next_start(
    workspace: Workspace, store: SqlStore, cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autosurgeon.audit import rotation

    class Crash(Exception):
        pass

    def crash(name: str) -> None:
        if name == f"key-{cut}":
            raise Crash

    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(rotation, "reach", crash)
        rotate(workspace, store)
    found = audited.check(workspace)
    assert found.whole, found.findings
    is_recorded = cut != "staged"
    assert len(store.acts_named("rotate-key")) == is_recorded
    signer = signer_for(workspace, store)  # whatever reads the key meanwhile gets the one in force
    ready_key(workspace, store, None, print)
    assert signer_for(workspace, store).public_key == signer.public_key == public_key(workspace.keys / PUBLIC)
    assert not (workspace.keys / STAGED).exists()
    assert private_signer(workspace.keys / PRIVATE).public_key == signer.public_key
    store.decide(make_decision("later"))
    audited.publish(workspace, store)
    assert audited.check(workspace).whole
    assert len(set(keyids(workspace))) == 1 + is_recorded


def test_what_a_crash_cut_short_of_a_staged_key_is_removed(workspace: Workspace, store: SqlStore) -> None:
    (workspace.keys / STAGED).write_bytes(b"-----BEGIN")
    signer = signer_for(workspace, store)
    ready_key(workspace, store, None, print)
    assert not (workspace.keys / STAGED).exists()
    assert signer_for(workspace, store).public_key == signer.public_key
