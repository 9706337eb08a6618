"""The chain is held against itself, the decisions, both logs and the checkpoints, and the first bad entry is named."""

from __future__ import annotations

import json
import random
import sqlite3
from pathlib import Path

import pytest
import tampering
from audited import build, check, copied, publish, rows_of, write_rows

from autosurgeon.audit.checkpoints import checkpoint_files
from autosurgeon.audit.keys import make_key
from autosurgeon.audit.signing import PUBLIC
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import UserError
from autosurgeon.store.sqlstore import SqlStore


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return build(tmp_path_factory.mktemp("chain") / "w")


@pytest.fixture
def workspace(whole: Workspace, tmp_path: Path) -> Workspace:
    return copied(whole, tmp_path / "w")


def test_a_chain_that_nobody_touched_is_whole(whole: Workspace) -> None:
    found = check(whole)
    assert found.whole, found.findings
    assert (found.size, found.head) == (len(rows_of(whole)), rows_of(whole)[-1].hash)
    assert found.checkpoints == len(checkpoint_files(whole.checkpoints)) == 13
    assert check(whole, checkpoint_files(whole.checkpoints)[4]).whole


def find_all(whole: Workspace, root: Path, seeds: range) -> None:
    for seed in seeds:
        workspace = copied(whole, root / "w")
        done, bad = tampering.tamper(workspace, random.Random(seed))
        found = check(workspace)
        assert not found.whole, (seed, done)
        assert found.first is not None
        named = set(range(found.first.seq, found.first.last + 1))
        assert named & bad, (seed, done, bad, found.findings)
        # Only where every copy was rewritten is the entry known no nearer than to its checkpoints.
        assert len(named) == 1 or done in ("rewrite and log", "insert and log"), (seed, done, bad, found.findings)


def test_100_random_changes_are_all_found_and_the_right_entry_named(whole: Workspace, tmp_path: Path) -> None:
    find_all(whole, tmp_path, range(100))


@pytest.mark.slow
def test_10000_random_changes_are_all_found_and_the_right_entry_named(whole: Workspace, tmp_path: Path) -> None:
    find_all(whole, tmp_path, range(300, 10_300))


def forge_everything(workspace: Workspace) -> None:
    """Rewrite chain, log and checkpoints, by somebody who has the key."""
    rows, _ = tampering.rewrite(rows_of(workspace), 9, random.Random(0))
    write_rows(workspace, rows, log_too=True)
    for path in checkpoint_files(workspace.checkpoints):
        path.unlink()
    store = SqlStore(workspace.database)
    publish(workspace, store)
    store.close()


def test_a_rewrite_by_the_holder_of_the_key_is_seen_by_a_checkpoint_from_before(
    whole: Workspace, workspace: Workspace
) -> None:
    forge_everything(workspace)
    assert check(workspace).whole
    before = next(path for path in checkpoint_files(whole.checkpoints) if int(path.stem) >= 9)
    found = check(workspace, before)
    assert found.first is not None
    assert (found.first.source, found.first.last) == ("against", int(before.stem))
    assert "rewritten" in found.first.what


def test_a_rewrite_with_a_new_key_is_seen_by_a_copy_and_its_key(workspace: Workspace, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in (checkpoint_files(workspace.checkpoints)[-1], workspace.keys / PUBLIC):
        (copy / path.name).write_bytes(path.read_bytes())
    for path in workspace.keys.iterdir():
        path.unlink()
    make_key(workspace.keys)
    forge_everything(workspace)
    assert check(workspace).whole
    found = check(workspace, checkpoint_files(copy)[0])
    assert found.first is not None
    assert "the key was replaced" in found.first.got


def test_a_tail_that_was_cut_everywhere_is_seen_by_the_rows_and_named_by_a_checkpoint(
    whole: Workspace, workspace: Workspace
) -> None:
    kept = rows_of(workspace)[:-1]
    write_rows(workspace, kept, log_too=True)
    newest = checkpoint_files(workspace.checkpoints)[-1]
    newest.unlink()
    assert [found.source for found in check(workspace).findings] == ["rows"]
    found = check(workspace, checkpoint_files(whole.checkpoints)[-1])
    assert found.first is not None
    assert (found.first.seq, found.first.source) == (len(kept) + 1, "against")
    assert "cut short" in found.first.what


@pytest.mark.parametrize("field", ["size", "head", "sig"])
def test_a_checkpoint_that_was_changed_is_named(workspace: Workspace, field: str) -> None:
    path = checkpoint_files(workspace.checkpoints)[3]
    other = checkpoint_files(workspace.checkpoints)[4]
    content, donor = json.loads(path.read_bytes()), json.loads(other.read_bytes())
    if field == "sig":
        content["signatures"] = donor["signatures"]
    elif field == "head":
        content["payload"] = donor["payload"]
    else:
        content = donor
    path.write_text(json.dumps(content))
    found = check(workspace)
    assert found.first is not None
    assert (found.first.source, found.first.seq) == ("checkpoint", int(path.stem))


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b"\xff", b'{"payload": 5}', b'{"payload": "", "payloadType": ""}'])
def test_a_file_that_is_no_checkpoint_is_a_finding_inside_and_a_mistake_outside(
    workspace: Workspace, tmp_path: Path, raw: bytes
) -> None:
    checkpoint_files(workspace.checkpoints)[0].write_bytes(raw)
    assert not check(workspace).whole
    outside = tmp_path / "c.json"
    outside.write_bytes(raw)
    with pytest.raises(UserError, match="not a checkpoint"):
        check(workspace, outside)
    with pytest.raises(UserError, match="cannot be read"):
        check(workspace, tmp_path / "none.json")


def test_a_log_behind_the_database_is_no_fault_as_long_as_nothing_signed_is_missing(workspace: Workspace) -> None:
    store = SqlStore(workspace.database)
    run = store.begin_run(1, None)
    assert check(workspace).whole
    publish(workspace, store)
    store.end_run(run, "killed")
    with workspace.events.open("ab") as file:
        file.write(b'{"torn')
    assert check(workspace).whole
    publish(workspace, store)
    store.close()
    assert check(workspace).whole
    assert len(workspace.events.read_bytes().splitlines()) == len(rows_of(workspace))


def test_bytes_that_are_no_text_are_named_by_their_entry(workspace: Workspace) -> None:
    with sqlite3.connect(workspace.database) as connection:
        connection.execute("UPDATE event SET payload = CAST(x'7bff7d' AS TEXT) WHERE seq = 7")
    connection.close()
    found = check(workspace)
    assert found.first is not None
    assert (found.first.seq, found.first.what) == (7, "an entry cannot be read")


@pytest.mark.parametrize("column", ["pass_number", "phase", "verdict", "action", "at"])
def test_a_column_that_says_another_thing_than_its_decision_is_named(workspace: Workspace, column: str) -> None:
    row = [row for row in rows_of(workspace) if row.kind == "decision"][2]
    with sqlite3.connect(workspace.database) as connection:
        connection.execute(f"UPDATE decision SET {column} = 7 WHERE decision_id = ?", (row.subject,))
    connection.close()
    found = check(workspace)
    assert found.first is not None
    assert (found.first.source, found.first.seq) == ("decisions", row.seq)
    assert found.first.got == f"a different {column} in its columns"
