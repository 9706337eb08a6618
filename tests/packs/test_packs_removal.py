"""Removal of weights: the manifest stays, and a crash leaves the weights complete or in the trash."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import write_checkpoint
from faults import Faults

from autosurgeon.errors import DurabilityError, PackError
from autosurgeon.packs.packstore import PackStore
from autosurgeon.packs.pins import Pin, read_pins, write_pins


@pytest.fixture
def store(tmp_path: Path) -> PackStore:
    return PackStore(tmp_path / "packs")


def test_a_pack_without_weights_keeps_its_manifest_and_reports_that_they_are_gone(
    store: PackStore, tmp_path: Path
) -> None:
    manifest = store.import_checkpoint(write_checkpoint(tmp_path / "source"))
    assert store.weights_bytes(manifest.digest) == manifest.files["model.safetensors"].bytes
    store.remove_weights(manifest.digest)
    assert not store.has_weights(manifest.digest)
    assert store.manifest(manifest.digest) == manifest
    with pytest.raises(PackError, match="weights are gone"):
        store.verify(manifest.digest)
    assert list((tmp_path / "packs" / "trash").iterdir()) == []


def test_a_pack_committed_again_replaces_its_remaining_manifest(store: PackStore, tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "source")
    manifest = store.import_checkpoint(source)
    store.remove_weights(manifest.digest)
    assert store.import_checkpoint(source) == manifest
    assert store.verify(manifest.digest) == manifest
    assert sorted(path.name for path in (tmp_path / "packs").iterdir()) == sorted([manifest.digest, "staging", "trash"])


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_failing_removal_leaves_the_weights_complete_or_gone(
    store: PackStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    faults, source, refused = Faults(monkeypatch), write_checkpoint(tmp_path / "source"), 0
    while True:
        store.sweep()
        digest = store.import_checkpoint(source).digest
        faults.refuse(call, refused + 1)
        try:
            store.remove_weights(digest)
        except DurabilityError:
            refused += 1
        else:
            break
        finally:
            faults.heal()
        assert not store.has_weights(digest) or store.verify(digest)
        store.sweep()
        assert not (tmp_path / "packs" / "trash").exists()
    assert refused >= 1


def test_pins_survive_a_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "pins.json"
    assert read_pins(path) == {}
    pins = [Pin(pack=name, reason="r", by="me", at="2026-01-01") for name in ("a", "b")]
    write_pins(path, pins)
    assert list(read_pins(path).values()) == pins
    assert json.loads(path.read_text())["format"] == "autosurgeon.pins/1"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "autosurgeon.pins/2", "pins": []}'])
def test_pins_that_do_not_parse_are_an_error_and_not_an_empty_list(tmp_path: Path, text: str) -> None:
    (tmp_path / "pins.json").write_text(text)
    with pytest.raises(PackError, match="the pins do not parse"):
        read_pins(tmp_path / "pins.json")
