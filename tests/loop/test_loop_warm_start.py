"""Passes of other workspaces of the same organ: given to the proposer once, kept apart from this one, read only."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

import pytest
from program import autosurgeon
from theatre import first_half, small_theatre

from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import WorkspaceError
from autosurgeon.loop.pass_reports import read_pass_report, sources_of
from autosurgeon.loop.run_passes import run
from autosurgeon.loop.search.warm_start import kept_elsewhere, warm_start_passes


def learns_nothing(generation: int, task_id: str) -> bool:
    return first_half(task_id)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which two passes came to nothing."""
    root = tmp_path_factory.mktemp("other")
    with small_theatre(root, learns_nothing, passes=2) as ins:
        run(ins)
    return root


def files_of(root: Path) -> dict[str, str]:
    data = [path for path in (root / "data").iterdir() if path.is_file()]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in data}


def test_passes_of_another_workspace_are_read_once_and_are_no_passes_of_this_one(tmp_path: Path, other: Path) -> None:
    before = files_of(other)
    search = {"warm_start": [other]}
    with small_theatre(tmp_path, learns_nothing, search=search) as ins:
        assert kept_elsewhere(ins.store, ins.settings.search) is None
        run(ins)
        records = warm_start_passes(ins)
        assert [record.number for record in records] == [1, 2]
        assert all(record.feedback is not None for record in records)
        (record,) = ins.store.passes()
        assert record.number == 1
        assert "and 2 of other workspaces" in read_pass_report(sources_of(ins), 1).proposer
    assert files_of(other) == before
    with small_theatre(tmp_path / "cold", learns_nothing) as cold:
        run(cold)
        assert cold.store.passes()[0].recipe != record.recipe
        assert cold.store.passes()[0].contract == record.contract
        assert not [s for s in cold.store.stage_outputs("base") if s.name.startswith("warm")]


def test_what_was_read_stays_whatever_becomes_of_the_other_workspace(tmp_path: Path) -> None:
    other = tmp_path / "other"
    with small_theatre(other, learns_nothing, passes=1) as ins:
        run(ins)
    with small_theatre(tmp_path / "here", learns_nothing, search={"warm_start": [other]}) as ins:
        records = warm_start_passes(ins)
        with small_theatre(other, learns_nothing, passes=1) as more:
            run(more)
        assert warm_start_passes(ins) == records
        assert len(records) == 1


def test_a_workspace_that_a_loop_has_open_can_be_read_too(tmp_path: Path) -> None:
    other = tmp_path / "other"
    with (
        small_theatre(other, learns_nothing, passes=1) as busy,
        small_theatre(tmp_path / "here", learns_nothing, search={"warm_start": [other]}) as ins,
    ):
        run(busy)
        assert Workspace(other).database.with_name("autosurgeon.db-wal").exists()
        assert [record.number for record in warm_start_passes(ins)] == [1]


def test_a_run_with_a_workspace_that_is_none_ends_in_a_line_with_exit_code_2(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "autosurgeon.toml").write_text('[search]\nwarm_start = ["../nowhere"]\n', encoding="utf-8")
    done = autosurgeon("run", "-w", here, "--passes", 1)
    assert done.returncode == 2
    assert "there is no workspace here" in done.stderr
    assert "nowhere" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_workspace_of_another_organ_is_refused_by_name(tmp_path: Path, other: Path) -> None:
    with small_theatre(tmp_path, learns_nothing, search={"warm_start": [other]}) as ins:
        (tmp_path / "organ" / "model.safetensors").write_bytes(b"other weights")
        with pytest.raises(WorkspaceError, match=f"another organ.*{other.name}"):
            run(ins)
        assert ins.store.last_run() is None


def test_what_is_no_workspace_and_the_workspace_itself_are_refused_by_name(tmp_path: Path) -> None:
    for folder, why in ((tmp_path / "nowhere", "no workspace here.*nowhere"), (tmp_path, "names this workspace")):
        with (
            small_theatre(tmp_path, learns_nothing, search={"warm_start": [folder]}) as ins,
            pytest.raises(WorkspaceError, match=why),
        ):
            warm_start_passes(ins)


@pytest.mark.parametrize("damage", ["cut", "no database", "feedback", "older schema"])
def test_a_damaged_workspace_is_refused_by_name_and_nothing_is_written_to_it(tmp_path: Path, damage: str) -> None:
    other = tmp_path / "damaged"
    with small_theatre(other, learns_nothing, passes=1) as ins:
        run(ins)
    file = Workspace(other).database
    if damage == "cut":
        file.write_bytes(file.read_bytes()[: 4096 * 9])
    elif damage == "no database":
        file.write_bytes(b"no database at all" * 999)
    else:
        changes = {
            "feedback": "UPDATE pass SET feedback = '[]'",
            "older schema": "UPDATE alembic_version SET version_num = '0001'",
        }
        with sqlite3.connect(file) as connection:
            connection.execute(changes[damage])
        connection.close()
    before = files_of(other)
    with (
        small_theatre(tmp_path / "here", learns_nothing, search={"warm_start": [other]}) as ins,
        pytest.raises(WorkspaceError, match=r"damaged|older schema|cannot be opened") as raised,
    ):
        warm_start_passes(ins)
    assert str(other) in str(raised.value)
    assert files_of(other) == before
