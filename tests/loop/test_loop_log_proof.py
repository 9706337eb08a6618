"""How far logs and an old memory prove the past: what is less than was signed is accepted only openly."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from databases import run_sql
from finished import (
    copy_of,
    cut_last_lines,
    finish_twice,
    goes_on,
    is_whole,
    lose_database,
    proven,
    restored,
)

from autosurgeon.core.hash_chain import GENESIS, Head, line_of, link, payload_text
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import WorkspaceError


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return finish_twice(tmp_path_factory.mktemp("finished") / "w")


@pytest.fixture
def workspace(finished: Workspace, tmp_path: Path) -> Workspace:
    return copy_of(finished, tmp_path / "w")


def test_logs_that_end_before_the_last_checkpoint_are_refused_and_accepted_only_openly(workspace: Workspace) -> None:
    lose_database(workspace)
    cut_last_lines(workspace.events, 5)
    with pytest.raises(WorkspaceError, match=r"the logs prove less than was signed.*checkpoint.*--accept-loss"):
        restored(workspace)
    assert not workspace.database.exists()
    found = restored(workspace, accept_loss=True)
    assert any(path.parent == workspace.checkpoints for path in found.aside)
    goes_on(workspace)


def test_a_live_version_never_goes_down_though_the_logs_end_before_it(workspace: Workspace) -> None:
    lose_database(workspace)
    entries = [json.loads(line) for line in workspace.events.read_bytes().splitlines()]
    promotion = next(at for at, entry in enumerate(entries) if entry["subject"] == "pass-0001-promotion")
    cut_last_lines(workspace.events, len(entries) - promotion)
    shutil.rmtree(workspace.checkpoints)
    with pytest.raises(WorkspaceError, match=r"live.json's version 2, or --accept-loss"):
        restored(workspace)
    found = restored(workspace, accept_loss=True)
    assert found.live is not None
    assert found.live.version == 3
    assert json.loads(workspace.live_file.read_bytes())["version"] == 3
    goes_on(workspace, version=3)


def test_a_log_that_was_rewritten_in_the_middle_ends_there(workspace: Workspace) -> None:
    lose_database(workspace)
    lines = workspace.events.read_bytes().splitlines(keepends=True)
    lines[20] = lines[20].replace(b'"at":"2', b'"at":"3', 1)
    workspace.events.write_bytes(b"".join(lines))
    with pytest.raises(WorkspaceError, match=r"20 entries in events.jsonl.*changed after it was written"):
        restored(workspace)


def test_a_log_with_a_torn_last_line_is_read_up_to_it(finished: Workspace, workspace: Workspace) -> None:
    lose_database(workspace)
    with workspace.events.open("a") as file:
        file.write('{"seq": 9')
    restored(workspace)
    assert proven(workspace.database) == proven(finished.database)
    is_whole(workspace)


def test_without_logs_the_entries_of_a_damaged_memory_are_used(finished: Workspace, workspace: Workspace) -> None:
    run_sql(workspace.database, "DELETE FROM anchor_run")
    workspace.events.unlink()
    workspace.decisions.unlink()
    found = restored(workspace)
    assert found.source == "the memory"
    assert proven(workspace.database) == proven(finished.database)
    is_whole(workspace)


def test_a_log_that_parts_from_a_whole_memory_is_moved_aside(workspace: Workspace) -> None:
    lines = workspace.events.read_bytes().splitlines(keepends=True)
    last = json.loads(lines[-1])
    forged = link(Head(last["seq"] - 1, last["previous"]), last["at"], "person", "stop", "{}")
    workspace.events.write_bytes(b"".join([*lines[:-1], line_of(forged)]))
    found = restored(workspace)
    assert found.source == "the memory"
    assert any(path.name.startswith("events.jsonl.aside") for path in found.aside)
    is_whole(workspace)


def test_nothing_is_restored_from_nothing(workspace: Workspace) -> None:
    lose_database(workspace)
    shutil.rmtree(workspace.root / "logs")
    with pytest.raises(WorkspaceError, match="there is nothing to restore from"):
        restored(workspace)


def test_a_chain_from_before_entries_held_rows_gives_back_what_its_events_name(
    finished: Workspace, workspace: Workspace
) -> None:
    lose_database(workspace)
    shutil.rmtree(workspace.checkpoints)
    head, lines = Head(0, GENESIS), []
    for line in workspace.events.read_bytes().splitlines():
        entry = json.loads(line)
        content = json.loads(entry["payload"])
        content.pop("rows", None)
        event = link(head, entry["at"], entry["kind"], entry["subject"], payload_text(content))
        head = Head(event.seq, event.hash)
        lines.append(line_of(event))
    workspace.events.write_bytes(b"".join(lines))
    restored(workspace)
    is_whole(workspace)
    for table in ("live", "look", "quarantine"):
        rows = f"SELECT * FROM {table} ORDER BY 1"
        assert run_sql(workspace.database, rows) == run_sql(finished.database, rows)
    columns = 'SELECT number, state, verdict, reason, recipe, parent, live_before, pack FROM "pass"'
    assert run_sql(workspace.database, columns) == run_sql(finished.database, columns)
    assert run_sql(workspace.database, "SELECT digest, manifest FROM pack ORDER BY 1") == run_sql(
        finished.database, "SELECT digest, manifest FROM pack ORDER BY 1"
    )
    goes_on(workspace)
