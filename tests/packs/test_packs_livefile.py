from __future__ import annotations

import json
from pathlib import Path

import pytest

from autosurgeon.errors import WorkspaceError
from autosurgeon.packs.livefile import read_live, write_live


def test_the_live_file_names_version_pack_and_folder(tmp_path: Path) -> None:
    path = tmp_path / "live.json"
    write_live(path, version=3, pack="abc", folder=Path("packs/abc"))
    assert json.loads(path.read_text()) == {
        "format": "autosurgeon.live/1",
        "version": 3,
        "pack": "abc",
        "folder": "packs/abc",
    }


def test_a_new_version_replaces_the_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "live.json"
    for version in (1, 2):
        write_live(path, version=version, pack=f"p{version}", folder=tmp_path)
    assert json.loads(path.read_text())["version"] == 2
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_of_the_old_file_never_sees_it_change(tmp_path: Path) -> None:
    path = tmp_path / "live.json"
    write_live(path, version=1, pack="old", folder=tmp_path)
    with path.open() as held:
        write_live(path, version=2, pack="new", folder=tmp_path)
        assert json.load(held)["pack"] == "old"


def test_an_unchanged_live_file_is_not_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "live.json"
    write_live(path, version=1, pack="p", folder=tmp_path)
    before = path.stat()
    write_live(path, version=1, pack="p", folder=tmp_path)
    assert path.stat().st_ino == before.st_ino


def test_a_damaged_live_file_is_rebuilt(tmp_path: Path) -> None:
    path = tmp_path / "live.json"
    path.write_text('{"version": 9')
    write_live(path, version=1, pack="p", folder=tmp_path)
    assert json.loads(path.read_text())["version"] == 1


@pytest.mark.parametrize("pack", ["7", "null", '""', '"another"'])
def test_a_version_that_can_be_read_never_goes_down_whatever_else_is_damaged(tmp_path: Path, pack: str) -> None:
    path = tmp_path / "live.json"
    path.write_text(f'{{"version": 9, "pack": {pack}}}')
    with pytest.raises(WorkspaceError, match="a live version never goes down"):
        write_live(path, version=8, pack="p", folder=tmp_path)
    assert json.loads(path.read_text())["version"] == 9


@pytest.mark.parametrize("version", ["NaN", "1e400", "true", '"9"', "-1", str(10**30)])
def test_what_is_no_version_is_damage(tmp_path: Path, version: str) -> None:
    path = tmp_path / "live.json"
    path.write_text(f'{{"version": {version}, "pack": "p"}}')
    assert read_live(path) == (0, "p")


def test_a_live_file_of_a_newer_format_is_refused_and_left(tmp_path: Path) -> None:
    path = tmp_path / "live.json"
    path.write_text('{"format": "autosurgeon.live/2", "version": 1, "pack": "p"}')
    with pytest.raises(WorkspaceError, match=r"newer autosurgeon.*autosurgeon\.live/2"):
        write_live(path, version=2, pack="p", folder=tmp_path)
    assert "live/2" in path.read_text()
