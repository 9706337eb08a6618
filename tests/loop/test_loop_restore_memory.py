"""A memory is made again after each kind of loss: equal wherever the logs prove it, and a run goes on from it."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import program
import pytest
from audited import check
from databases import run_sql
from finished import (
    chain_of,
    copy_of,
    damage_database,
    finish,
    finish_twice,
    goes_on,
    is_whole,
    lose_database,
    proven,
    put_back_database,
    restored,
)
from lineage import flip_a_byte, make_live, make_pack
from theatre import learns_everything, small_theatre

from autosurgeon.audit.checkpoints import checkpoint_files
from autosurgeon.audit.verify import verify
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import WorkspaceError
from autosurgeon.loop.memory.traces import open_memory
from autosurgeon.loop.run_passes import run
from autosurgeon.store.lock import workspace_lock
from autosurgeon.store.sqlstore import SqlStore


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return finish_twice(tmp_path_factory.mktemp("finished") / "w")


@pytest.fixture
def workspace(finished: Workspace, tmp_path: Path) -> Workspace:
    return copy_of(finished, tmp_path / "w")


def empty_database(workspace: Workspace) -> None:
    lose_database(workspace)
    SqlStore(workspace.database, create=True).close()


def put_back_text(workspace: Workspace) -> None:
    workspace.database.write_bytes(b"text" * 5000)


LOSSES: dict[str, Callable[[Workspace], None]] = {
    "gone": lose_database,
    "empty": empty_database,
    "no bytes": lambda place: os.truncate(place.database, 0),
    "old copy": lambda place: put_back_database(place, place.root / "early.db"),
    "no database": put_back_text,
    "cut short": lambda place: os.truncate(place.database, place.database.stat().st_size // 3),
    "damaged": lambda place: damage_database(place, 0.5),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_after_each_loss_the_memory_is_what_the_logs_prove(
    finished: Workspace, workspace: Workspace, loss: str
) -> None:
    LOSSES[loss](workspace)
    there = workspace.database.read_bytes() if workspace.database.exists() else None
    found = restored(workspace)
    assert found.restored is not None
    assert proven(workspace.database) == proven(finished.database)
    assert found.live is not None
    assert (found.live.version, found.live_damage) == (2, "")
    whole = chain_of(finished.database, 10**6)
    assert chain_of(workspace.database, len(whole)) == whole
    if there is not None:
        kept = [path for path in found.aside if path.name.startswith("autosurgeon.db.aside-")]
        assert [path.read_bytes()[100:] for path in kept] == [there[100:]]
    (goes_on if loss == "gone" else is_whole)(workspace)


def test_what_an_old_memory_still_holds_is_taken_over(finished: Workspace, workspace: Workspace) -> None:
    put_back_database(workspace, workspace.root / "early.db")
    found = restored(workspace)
    assert found.restored is not None
    assert not found.restored.missing.get("bench_result")
    results = "SELECT * FROM bench_result ORDER BY id"
    assert run_sql(workspace.database, results) == run_sql(finished.database, results)
    ((last,),) = run_sql(workspace.root / "early.db", "SELECT max(id) FROM stage")
    outputs = f"SELECT id, output FROM stage WHERE id <= {last}"
    assert run_sql(workspace.database, outputs) == run_sql(finished.database, outputs)
    is_whole(workspace)


def test_a_forged_row_of_an_old_memory_is_not_taken_over(workspace: Workspace) -> None:
    run_sql(workspace.root / "early.db", "UPDATE bench_result SET passed = 1 - passed WHERE id = 3")
    put_back_database(workspace, workspace.root / "early.db")
    found = restored(workspace)
    assert found.restored is not None
    assert found.restored.missing["bench_result"] == 20
    assert found.restored.lacking[0].startswith("pack-")
    goes_on(workspace)


def test_rows_that_were_changed_in_the_memory_are_made_again(finished: Workspace, workspace: Workspace) -> None:
    run_sql(workspace.database, "UPDATE anchor_run SET passed = 0 WHERE id = 2")
    run_sql(workspace.database, "UPDATE \"pass\" SET reason = 'another'")
    assert not check(workspace).whole
    assert "were changed, deleted or inserted" in restored(workspace).why
    assert proven(workspace.database) == proven(finished.database)
    is_whole(workspace)


def test_the_database_of_another_workspace_is_kept_aside(
    finished: Workspace, workspace: Workspace, tmp_path: Path
) -> None:
    other = finish(tmp_path / "other")
    put_back_database(workspace, other.database)
    found = restored(workspace)
    assert "another workspace's" in found.why
    assert proven(workspace.database) == proven(finished.database)
    assert SqlStore(next(path for path in found.aside if "autosurgeon.db" in path.name)).head().size > 0
    is_whole(workspace)


def test_a_whole_memory_is_left_alone(workspace: Workspace) -> None:
    before = workspace.database.read_bytes()
    found = restored(workspace)
    assert (found.restored, found.aside) == (None, ())
    assert workspace.database.read_bytes() == before


def test_a_restored_memory_is_whole_and_can_be_restored_again(finished: Workspace, workspace: Workspace) -> None:
    lose_database(workspace)
    restored(workspace)
    goes_on(workspace)
    assert restored(workspace).restored is None
    later = proven(workspace.database)
    lose_database(workspace)
    restored(workspace)
    again = proven(workspace.database)
    assert again == later
    goes_on(workspace)


def test_who_restored_it_is_an_entry_of_the_chain(workspace: Workspace) -> None:
    lose_database(workspace)
    restored(workspace)
    with open_memory(workspace, workspace.database) as store:
        entry = store.last_act("restore")
        assert entry is not None
        assert (entry.act.who.login, entry.act.reason) == ("ann", "lost")


def test_lost_keys_are_no_obstacle(finished: Workspace, workspace: Workspace) -> None:
    lose_database(workspace)
    shutil.rmtree(workspace.keys)
    restored(workspace)
    assert proven(workspace.database) == proven(finished.database)


def test_what_signatures_prove_of_the_restored_memory_is_reported(workspace: Workspace) -> None:
    lose_database(workspace)
    notes = restored(workspace).notes
    assert any("signed checkpoints verify, the last at entry" in note for note in notes), notes


def test_without_the_public_key_the_report_shows_that_no_signature_proves_the_memory(workspace: Workspace) -> None:
    lose_database(workspace)
    shutil.rmtree(workspace.keys)
    notes = restored(workspace).notes
    assert any("signatures do not prove it" in note for note in notes), notes


def later_checkpoint(workspace: Workspace) -> tuple[Path, dict[str, Any]]:
    """The path of a checkpoint beyond the chain, and the newest one's content with that claim."""
    newest = checkpoint_files(workspace.checkpoints)[-1]
    content = json.loads(newest.read_bytes())
    claim = json.loads(base64.b64decode(content["payload"]))
    claim["size"] += 1000
    content["payload"] = base64.b64encode(json.dumps(claim).encode()).decode()
    return newest.with_name(f"{claim['size']:08d}.json"), content


@pytest.mark.parametrize("signatures", ["of another claim", "none"])
def test_a_forged_checkpoint_beyond_the_logs_is_moved_aside_and_is_no_loss(
    finished: Workspace, workspace: Workspace, signatures: str
) -> None:
    lose_database(workspace)
    path, content = later_checkpoint(workspace)
    path.write_text(json.dumps(content | ({"signatures": []} if signatures == "none" else {})))
    found = restored(workspace)
    assert any(path.name in moved.name for moved in found.aside)
    assert proven(workspace.database) == proven(finished.database)
    is_whole(workspace)


def test_a_checkpoint_beyond_the_logs_by_a_key_that_is_lost_counts_as_a_loss(workspace: Workspace) -> None:
    lose_database(workspace)
    path, content = later_checkpoint(workspace)
    content["signatures"][0]["keyid"] = "0" * 64
    path.write_text(json.dumps(content))
    with pytest.raises(WorkspaceError, match="the logs prove less than was signed"):
        restored(workspace)


def test_a_damaged_live_pack_is_named_and_the_next_run_reverts_it(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        run(ins)
        make_live(ins, make_pack(ins, 7))
        flip_a_byte(ins, make_live(ins, make_pack(ins, 8)))
        workspace = ins.workspace
    lose_database(workspace)
    found = restored(workspace)
    assert found.live is not None
    assert found.live.version == 4
    assert "is damaged" in found.live_damage
    with small_theatre(tmp_path, learns_everything) as ins:
        run(ins)
        assert [live.version for live in ins.store.live_history()][:5] == [1, 2, 3, 4, 5]


def test_a_pass_that_was_open_goes_on(tmp_path: Path) -> None:
    class Death(BaseException):
        pass

    def before(job: Any) -> None:
        if type(job).__name__ == "MergeJob":
            raise Death

    with pytest.raises(Death), small_theatre(tmp_path, learns_everything, before=before) as ins:
        run(ins)
    workspace = Workspace(tmp_path)
    lose_database(workspace)
    restored(workspace)
    with small_theatre(tmp_path, learns_everything) as ins:
        assert run(ins) == "passes"
        assert ins.store.get_pass(1).state.is_finished
        assert verify(workspace, ins.store).whole


def test_no_memory_is_restored_while_a_loop_works(workspace: Workspace) -> None:
    lose_database(workspace)
    holder = os.fork()
    if holder == 0:
        with workspace_lock(workspace.lock):
            workspace.stop_file.touch()
            while workspace.stop_file.exists():
                pass
        os._exit(0)
    while not workspace.stop_file.exists():
        pass
    try:
        with pytest.raises(WorkspaceError, match="another loop works"):
            restored(workspace)
    finally:
        workspace.stop_file.unlink()
        os.waitpid(holder, 0)


def test_the_command_lists_what_was_restored_and_what_was_not(workspace: Workspace) -> None:
    lose_database(workspace)
    done = program.autosurgeon("restore", "-w", workspace.root, "--reason", "the disk died")
    assert done.returncode == 0, done.stderr
    assert "the memory was restored, since it is missing" in done.stdout
    assert "live version 2" in done.stdout
    assert "not restored: 48 rows of bench_result" in done.stdout
    assert program.autosurgeon("audit", "verify", "-w", workspace.root).returncode == 0
    again = program.autosurgeon("restore", "-w", workspace.root, "--json")
    assert json.loads(again.stdout)["restored"] is False
