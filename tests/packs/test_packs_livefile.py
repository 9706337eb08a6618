from __future__ import annotations

import json
from pathlib import Path

from autosurgeon.packs.livefile import write_live


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
