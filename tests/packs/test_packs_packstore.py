from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from builders import make_recipe, write_checkpoint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autosurgeon.core.pack import Lineage
from autosurgeon.errors import PackError
from autosurgeon.packs.checkpoint import stage_checkpoint
from autosurgeon.packs.packstore import PackStore


@pytest.fixture
def store(tmp_path: Path) -> PackStore:
    return PackStore(tmp_path / "packs")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "source")


def test_an_imported_checkpoint_verifies_under_its_own_name(store: PackStore, source: Path) -> None:
    manifest = store.import_checkpoint(source)
    assert store.digests() == [manifest.digest]
    assert store.verify(manifest.digest) == manifest
    assert store.path(manifest.digest).name == manifest.digest
    assert set(manifest.files) == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}


def test_an_import_does_not_change_its_source(store: PackStore, source: Path) -> None:
    before = {file.name: file.read_bytes() for file in source.iterdir()}
    store.import_checkpoint(source)
    assert {file.name: file.read_bytes() for file in source.iterdir()} == before


def test_importing_twice_makes_one_pack(store: PackStore, source: Path) -> None:
    first = store.import_checkpoint(source)
    assert store.import_checkpoint(source) == first
    assert store.digests() == [first.digest]


def test_other_weights_make_another_pack(store: PackStore, tmp_path: Path) -> None:
    one, two = (write_checkpoint(tmp_path / f"source{n}", first_byte=n) for n in (1, 2))
    assert store.import_checkpoint(one).digest != store.import_checkpoint(two).digest


def test_the_same_weights_of_another_lineage_are_another_pack(store: PackStore, source: Path, tmp_path: Path) -> None:
    base = store.import_checkpoint(source)
    stage_checkpoint(source, tmp_path / "staged")
    child = store.commit(tmp_path / "staged", Lineage(parent=base.digest, recipe=make_recipe(), dataset="rows"))
    assert child.files == base.files
    assert child.digest != base.digest
    assert store.verify(child.digest).lineage.parent == base.digest
    assert not (tmp_path / "staged").exists()


def test_a_manifest_from_a_capsule_is_not_used(store: PackStore, source: Path, tmp_path: Path) -> None:
    stage_checkpoint(source, tmp_path / "staged")
    (tmp_path / "staged" / "manifest.json").write_text('{"files": {}}')
    assert store.commit(tmp_path / "staged", Lineage()).digest == store.import_checkpoint(source).digest


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(data=st.data())
def test_any_flipped_bit_of_any_file_is_detected(store: PackStore, source: Path, data: st.DataObject) -> None:
    manifest = store.import_checkpoint(source)
    name = data.draw(st.sampled_from(sorted(manifest.files)))
    path = store.path(manifest.digest) / name
    good = path.read_bytes()
    at = data.draw(st.integers(0, len(good) * 8 - 1))
    bad = bytearray(good)
    bad[at // 8] ^= 1 << at % 8
    path.write_bytes(bad)
    try:
        with pytest.raises(PackError, match=f"damaged.*{name}"):
            store.verify(manifest.digest)
    finally:
        path.write_bytes(good)
    assert store.verify(manifest.digest) == manifest


@pytest.mark.parametrize("keep", [0, 1, 8, 4096, -1])
def test_truncated_weights_are_detected(store: PackStore, source: Path, keep: int) -> None:
    manifest = store.import_checkpoint(source)
    path = store.path(manifest.digest) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(PackError, match="damaged"):
        store.verify(manifest.digest)


def test_a_missing_file_is_detected(store: PackStore, source: Path) -> None:
    manifest = store.import_checkpoint(source)
    (store.path(manifest.digest) / "tokenizer.json").unlink()
    with pytest.raises(PackError, match=r"missing.*tokenizer\.json"):
        store.verify(manifest.digest)


def test_a_symbolic_link_instead_of_a_file_is_refused(store: PackStore, source: Path, tmp_path: Path) -> None:
    manifest = store.import_checkpoint(source)
    path = store.path(manifest.digest) / "config.json"
    shutil.move(path, tmp_path / "config.json")
    path.symlink_to(tmp_path / "config.json")
    with pytest.raises(PackError, match=r"config\.json"):
        store.verify(manifest.digest)


@pytest.mark.parametrize("name", ["modeling.py", ".hidden"])
def test_an_extra_file_is_detected(store: PackStore, source: Path, name: str) -> None:
    manifest = store.import_checkpoint(source)
    (store.path(manifest.digest) / name).write_text("")
    with pytest.raises(PackError, match=name):
        store.verify(manifest.digest)


def test_a_manifest_changed_together_with_its_file_is_detected(store: PackStore, source: Path) -> None:
    manifest = store.import_checkpoint(source)
    path = store.path(manifest.digest) / "manifest.json"
    content = json.loads(path.read_text())
    content["lineage"]["parent"] = "somebody else"
    path.write_text(json.dumps(content))
    with pytest.raises(PackError, match="manifest was changed"):
        store.verify(manifest.digest)


@pytest.mark.parametrize("text", ["", "{", "{}", '{"format": "autosurgeon.pack/2", "files": {}, "lineage": {}}'])
def test_a_manifest_that_does_not_parse_is_refused(store: PackStore, source: Path, text: str) -> None:
    manifest = store.import_checkpoint(source)
    (store.path(manifest.digest) / "manifest.json").write_text(text)
    with pytest.raises(PackError, match="does not parse"):
        store.manifest(manifest.digest)


def test_a_missing_pack_is_reported(store: PackStore) -> None:
    with pytest.raises(PackError, match="a pack is missing"):
        store.verify("0" * 64)


def test_a_damaged_pack_is_replaced_by_a_good_one_and_set_aside(store: PackStore, source: Path) -> None:
    manifest = store.import_checkpoint(source)
    for count in (1, 2):
        (store.path(manifest.digest) / "config.json").write_text(f"damage {count}")
        assert store.import_checkpoint(source) == manifest
        assert store.verify(manifest.digest) == manifest
        assert store.digests() == [manifest.digest]
        aside = store.path(f"damaged-{count}-{manifest.digest}")
        assert (aside / "config.json").read_text() == f"damage {count}"


def test_weights_whose_tensors_do_not_start_at_a_page_are_refused(store: PackStore, source: Path) -> None:
    with pytest.raises(PackError, match="do not start at a page"):
        store.commit(source, Lineage())


def test_large_files_are_copied_and_read_with_a_heartbeat_per_chunk(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autosurgeon.packs.files.CHUNK_BYTES", 16)
    monkeypatch.setattr("autosurgeon.packs.checkpoint.CHUNK_BYTES", 16)
    beats: list[int] = []
    watched = PackStore(tmp_path / "packs", lambda: beats.append(0))
    digest = watched.import_checkpoint(source).digest
    pieces = (watched.path(digest) / "model.safetensors").stat().st_size // 16
    # Hashed, compared with the manifest, and verified under its name.
    assert len(beats) >= 3 * pieces
    beats.clear()
    watched.verify(digest)
    assert len(beats) >= pieces
