"""A failing disk: after any failed flush or rename, live is complete and no pack under a digest is partial."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from builders import write_checkpoint
from faults import Faults

from autosurgeon.core.pack import Lineage
from autosurgeon.core.ports import Beat
from autosurgeon.errors import DurabilityError, PackError
from autosurgeon.packs.checkpoint import stage_checkpoint
from autosurgeon.packs.files import hash_file
from autosurgeon.packs.livefile import write_live
from autosurgeon.packs.packstore import PackStore


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    return Faults(monkeypatch)


def promote(root: Path, version: int, source: Path) -> str:
    """Commit a checkpoint, make it live as the loop does, and return its digest."""
    store = PackStore(root / "packs")
    manifest = store.import_checkpoint(source)
    write_live(root / "live.json", version=version, pack=manifest.digest, folder=Path("packs", manifest.digest))
    return manifest.digest


def live_version(root: Path) -> int:
    """Verify all packs and return the live version."""
    store, live = PackStore(root / "packs"), json.loads((root / "live.json").read_text())
    for digest in {*store.digests(), live["pack"]}:
        store.verify(digest)
    return int(live["version"])


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_after_any_failing_disk_call_live_is_a_whole_pack_and_the_next_attempt_succeeds(
    tmp_path: Path, faults: Faults, call: str
) -> None:
    old, new = (write_checkpoint(tmp_path / f"source{n}", first_byte=n) for n in (1, 2))
    refused = 0
    while True:
        root = tmp_path / f"refused-{refused}"
        promote(root, 1, old)
        faults.refuse(call, refused + 1)
        try:
            promote(root, 2, new)
        except DurabilityError as error:
            assert error.exit_code == 4
            assert "Input/output error" in str(error)
            refused += 1
        else:
            break
        finally:
            faults.heal()
        assert live_version(root) in (1, 2)
        PackStore(root / "packs").sweep()
        digest = promote(root, 2, new)
        assert live_version(root) == 2
        assert digest in PackStore(root / "packs").digests()
        assert not (root / "packs" / "staging").exists() or not list((root / "packs" / "staging").iterdir())
    # Four files, the manifest, its folder, the parent, live.json and its folder are flushed; the rest are new folders.
    assert refused >= {"fsync": 9, "rename": 3}[call]


def test_content_is_flushed_before_the_file_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_checkpoint(tmp_path / "source")
    store = PackStore(tmp_path / "packs")
    (tmp_path / "packs" / "staging").mkdir()
    stage_checkpoint(source, tmp_path / "packs" / "staging" / "one")
    seen: list[str] = []
    fsync, rename = os.fsync, os.rename

    def watched_fsync(descriptor: int) -> None:
        seen.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    def watched_rename(old: Any, new: Any) -> None:
        seen.append(f"{Path(old).name} -> {Path(new).name}")
        rename(old, new)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "rename", watched_rename)
    digest = store.commit(tmp_path / "packs" / "staging" / "one", Lineage()).digest
    assert seen == [
        *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"),
        *("manifest.json.part", "manifest.json.part -> manifest.json", "one"),
        *(f"one -> {digest}", "packs"),
    ]


def test_an_existing_pack_is_verified_and_its_name_flushed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, source = PackStore(tmp_path / "packs"), write_checkpoint(tmp_path / "source")
    first, flushed = store.import_checkpoint(source), []
    fsync = os.fsync

    def watched_fsync(descriptor: int) -> None:
        flushed.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    assert store.import_checkpoint(source) == first
    assert flushed[-1] == "packs"


def test_a_sweep_removes_staged_files_of_a_crash_and_keeps_packs(tmp_path: Path) -> None:
    store, source = PackStore(tmp_path / "packs"), write_checkpoint(tmp_path / "source")
    digest = store.import_checkpoint(source).digest
    left = tmp_path / "packs" / "staging" / "import-4711"
    left.mkdir(parents=True)
    (left / "model.safetensors").write_bytes(b"half")
    store.sweep()
    assert not left.exists()
    assert store.verify(digest).digest == digest


def test_a_manifest_truncated_by_a_crash_is_not_part_of_the_pack(tmp_path: Path) -> None:
    store, source = PackStore(tmp_path / "packs"), write_checkpoint(tmp_path / "source")
    stage_checkpoint(source, tmp_path / "staged")
    (tmp_path / "staged" / "manifest.json.part").write_text('{"fil')
    assert store.commit(tmp_path / "staged", Lineage()) == store.import_checkpoint(source)


def test_a_folder_inside_a_pack_is_refused(tmp_path: Path) -> None:
    stage_checkpoint(write_checkpoint(tmp_path / "source"), tmp_path / "staged")
    (tmp_path / "staged" / "more").mkdir()
    with pytest.raises(PackError, match="plain files only; got more"):
        PackStore(tmp_path / "packs").commit(tmp_path / "staged", Lineage())


def test_an_unreadable_sector_counts_as_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = PackStore(tmp_path / "packs")
    digest = store.import_checkpoint(write_checkpoint(tmp_path / "source")).digest

    def unreadable(path: Path, beat: Beat) -> str:
        if path.name == "model.safetensors":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return hash_file(path, beat)

    monkeypatch.setattr("autosurgeon.packs.packstore.hash_file", unreadable)
    with pytest.raises(PackError, match="cannot be read; got Input/output error"):
        store.verify(digest)


def test_live_json_is_rewritten_at_each_start(tmp_path: Path) -> None:
    path = tmp_path / "live.json"
    write_live(path, version=1, pack="p", folder=tmp_path)
    with path.open() as held:  # kept open, so that its inode number is not reused
        write_live(path, version=1, pack="p", folder=tmp_path, anew=True)
        assert os.fstat(held.fileno()).st_ino != path.stat().st_ino
