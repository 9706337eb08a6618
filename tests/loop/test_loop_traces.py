"""A memory that does not hold what the workspace's folder shows is refused, and a live version never goes down."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import program
import pytest
from finished import copy_of, finish, lose_database, put_back_database
from theatre import learns_everything, small_theatre

from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import WorkspaceError
from autosurgeon.loop.baseline.baseline import read_baseline
from autosurgeon.loop.memory.traces import open_memory, read_traces
from autosurgeon.loop.run_passes import prepare_run, run
from autosurgeon.packs.livefile import write_live
from autosurgeon.store.sqlstore import SqlStore


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return finish(tmp_path_factory.mktemp("finished") / "w")


@pytest.fixture
def workspace(finished: Workspace, tmp_path: Path) -> Workspace:
    return copy_of(finished, tmp_path / "w")


def refused(workspace: Workspace, where: Path | str | None = None, *, writes: bool = True) -> str:
    before = sorted(path for path in workspace.root.rglob("*"))
    with (
        pytest.raises(WorkspaceError) as error,
        open_memory(workspace, where or workspace.database, create=writes, writes=writes),
    ):
        pass
    assert sorted(path for path in workspace.root.rglob("*")) == before
    return str(error.value)


def accepted(workspace: Workspace) -> bool:
    with open_memory(workspace, workspace.database, create=True, writes=True):
        return True


def test_a_finished_workspace_is_opened_as_ever(workspace: Workspace) -> None:
    assert accepted(workspace)
    assert program.autosurgeon("status", "-w", workspace.root).returncode == 0


@pytest.mark.parametrize("command", ["run -n 1", "status", "pass list", "pack gc", "audit verify", "override 1"])
def test_a_workspace_whose_database_is_gone_is_refused_by_each_command(workspace: Workspace, command: str) -> None:
    lose_database(workspace)
    live = workspace.live_file.read_bytes()
    words = [*command.split(), "-w", workspace.root]
    if command.startswith("override"):
        words += ["--verdict", "accept", "--reason", "r", "--expires", "+1h"]
    done = program.autosurgeon(*words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "live version 2, pack" in done.stderr
    assert "is missing" in done.stderr
    assert f"autosurgeon restore --workspace {workspace.root}" in done.stderr
    assert not workspace.database.exists()
    assert workspace.live_file.read_bytes() == live


@pytest.mark.parametrize("content", ["no tables", "no rows", "no bytes"])
def test_an_empty_database_is_refused_where_the_folder_has_a_past(workspace: Workspace, content: str) -> None:
    lose_database(workspace)
    if content == "no bytes":
        workspace.database.touch()
    else:
        SqlStore(workspace.database, create=True).close()
    assert "is empty" in refused(workspace)
    assert "is empty" in refused(workspace, writes=False)


def test_an_empty_postgresql_database_is_refused_and_the_file_beside_it_named(workspace: Workspace, url: str) -> None:
    line = refused(workspace, url)
    assert "is empty" in line
    assert "s3cret" not in line
    assert f"{workspace.database} is not in use" in line


KEPT: dict[str, Callable[[Workspace], Path]] = {
    "live.json": lambda place: place.live_file,
    "checkpoints": lambda place: place.checkpoints,
    "events": lambda place: place.events,
    "decisions": lambda place: place.decisions,
    "packs": lambda place: place.packs,
    "passes": lambda place: place.passes,
    "reports": lambda place: place.reports,
    "keys": lambda place: place.keys,
}


@pytest.mark.parametrize("kept", KEPT)
def test_each_trace_alone_proves_an_earlier_life(workspace: Workspace, tmp_path: Path, kept: str) -> None:
    source = KEPT[kept](workspace)
    target = Workspace(tmp_path / "alone")
    place = KEPT[kept](target)
    place.parent.mkdir(parents=True)
    if source.is_dir():
        shutil.copytree(source, place)
    else:
        shutil.copyfile(source, place)
    assert "is missing" in refused(target)


def test_an_old_copy_of_the_database_is_refused(finished: Workspace, tmp_path: Path) -> None:
    early = finish(tmp_path / "w", passes=1)
    shutil.copyfile(early.database, tmp_path / "old.db")
    with small_theatre(early.root, learns_everything, passes=1) as ins:
        run(ins)
    put_back_database(early, tmp_path / "old.db")
    assert "it is behind: checkpoint" in refused(early)
    shutil.rmtree(early.checkpoints)
    assert "it is behind: events.jsonl goes to entry" in refused(early)
    assert "it is behind" in refused(early, writes=False)


def test_a_live_file_that_goes_further_than_the_memory_is_enough(workspace: Workspace) -> None:
    content = json.loads(workspace.live_file.read_bytes())
    workspace.live_file.write_text(json.dumps(content | {"version": 3}))
    assert "it is behind: live.json is of version 3" in refused(workspace)


def test_a_decision_that_the_memory_lacks_is_enough_where_there_is_no_event_log(workspace: Workspace) -> None:
    shutil.rmtree(workspace.checkpoints)
    workspace.events.unlink()
    assert accepted(workspace)
    with workspace.decisions.open("a") as file:
        file.write('{"decision_id":"pass-0009-watch"}\n')
    assert "it has no decision pass-0009-watch" in refused(workspace)


def test_the_database_of_another_workspace_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    other = finish(tmp_path / "other")
    put_back_database(workspace, other.database)
    assert "another workspace's, or was rewritten: checkpoint" in refused(workspace)
    shutil.rmtree(workspace.checkpoints)
    assert "another workspace's, or was rewritten: entry" in refused(workspace)
    shutil.rmtree(workspace.root / "logs")
    content = json.loads(workspace.live_file.read_bytes())
    workspace.live_file.write_text(json.dumps(content | {"pack": "0" * 64}))
    assert "it is another workspace's: its version 2 is pack" in refused(workspace)


def test_a_memory_none_of_whose_packs_lie_in_the_folder_is_not_written(finished: Workspace, tmp_path: Path) -> None:
    fresh = Workspace(tmp_path / "fresh")
    fresh.root.mkdir()
    assert "none of its packs lies here" in refused(fresh, finished.database)
    with open_memory(fresh, finished.database) as store:
        assert store.live()


def test_what_looks_for_faults_opens_a_memory_that_does_not_fit(workspace: Workspace) -> None:
    content = json.loads(workspace.live_file.read_bytes())
    workspace.live_file.write_text(json.dumps(content | {"version": 3}))
    assert program.autosurgeon("audit", "verify", "-w", workspace.root).returncode == 0
    assert program.autosurgeon("status", "-w", workspace.root).returncode == 2


def test_projections_behind_the_memory_are_no_reason_to_refuse(workspace: Workspace) -> None:
    shutil.rmtree(workspace.root / "logs")
    assert accepted(workspace)
    workspace.live_file.unlink()
    shutil.rmtree(workspace.keys)
    assert accepted(workspace)


def test_a_torn_last_line_of_a_log_is_no_entry(workspace: Workspace) -> None:
    for path in (workspace.events, workspace.decisions):
        with path.open("a") as file:
            file.write('{"seq": 999, "decision_id": "torn')
    assert accepted(workspace)


@pytest.mark.parametrize("left", ["nothing", "settings", "operations", "empty folders", "empty logs", "base"])
def test_what_is_left_before_the_first_commit_is_no_past(tmp_path: Path, finished: Workspace, left: str) -> None:
    place = Workspace(tmp_path / "w")
    place.packs.mkdir(parents=True)
    place.operations.parent.mkdir()
    (place.root / "autosurgeon.toml").touch()
    place.operations.write_text("{}\n" if left == "operations" else "")
    if left == "empty logs":
        place.events.touch()
        place.decisions.touch()
    if left == "base":
        base = next(
            folder
            for folder in finished.packs.iterdir()
            if len(folder.name) == 64 and not json.loads((folder / "manifest.json").read_bytes())["lineage"]["parent"]
        )
        shutil.copytree(base, place.packs / base.name)
        (place.passes / "base").mkdir(parents=True)
        SqlStore(place.database, create=True).close()
    assert accepted(place)
    assert read_traces(place).live is None


def test_a_run_killed_after_the_import_of_the_base_begins_again(tmp_path: Path) -> None:
    with small_theatre(tmp_path, learns_everything) as ins:
        ins.packs.import_checkpoint(ins.settings.organ_folder)
        assert accepted(ins.workspace)
        prepare_run(ins)
        read_baseline(ins)
        assert accepted(ins.workspace)


def test_a_live_file_is_never_replaced_by_a_lower_version_or_another_pack(tmp_path: Path) -> None:
    path, folder = tmp_path / "live.json", Path("packs/a")
    write_live(path, version=3, pack="a", folder=folder)
    write_live(path, version=3, pack="a", folder=folder, anew=True)
    for version, pack in ((2, "a"), (3, "b")):
        with pytest.raises(WorkspaceError, match="a live version never goes down"):
            write_live(path, version=version, pack=pack, folder=folder)
    write_live(path, version=4, pack="b", folder=folder)
    assert json.loads(path.read_bytes())["version"] == 4
    path.write_bytes(b"\xff")
    write_live(path, version=1, pack="a", folder=folder)
    assert json.loads(path.read_bytes())["version"] == 1


def test_a_damaged_database_names_the_way_out(workspace: Workspace) -> None:
    workspace.database.write_bytes(b"not a database at all, and longer than a header of SQLite's would be" * 20)
    done = program.autosurgeon("run", "-n", 1, "-w", workspace.root)
    assert done.returncode == 2
    assert "autosurgeon restore" in done.stderr


def test_an_export_of_an_empty_memory_leaves_no_key_that_would_look_like_a_past(tmp_path: Path) -> None:
    place = Workspace(tmp_path / "w")
    SqlStore(place.database, create=True).close()
    done = program.autosurgeon("audit", "export", "--out", tmp_path / "out", "-w", place.root)
    assert done.returncode == 2
    assert "nothing is recorded in this workspace yet" in done.stderr
    assert not place.keys.exists()
    assert accepted(place)
