"""Weights that are taken off the disk: what stays tells what they were; a crash leaves them whole or out of sight."""

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


def test_a_pack_without_weights_keeps_its_manifest_and_says_that_they_are_gone(
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


def test_a_pack_that_is_made_again_after_its_removal_takes_the_place_of_what_stayed(
    store: PackStore, tmp_path: Path
) -> None:
    source = write_checkpoint(tmp_path / "source")
    manifest = store.import_checkpoint(source)
    store.remove_weights(manifest.digest)
    assert store.import_checkpoint(source) == manifest
    assert store.verify(manifest.digest) == manifest
    assert sorted(path.name for path in (tmp_path / "packs").iterdir()) == sorted([manifest.digest, "staging", "trash"])


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_removal_that_the_disk_refuses_leaves_the_weights_whole_or_gone(
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


def test_pins_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "pins.json"
    assert read_pins(path) == {}
    pins = [Pin(pack=name, reason="r", by="me", at="2026-01-01") for name in ("a", "b")]
    write_pins(path, pins)
    assert list(read_pins(path).values()) == pins
    assert json.loads(path.read_text())["format"] == "autosurgeon.pins/1"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "autosurgeon.pins/2", "pins": []}'])
def test_pins_that_do_not_parse_are_not_taken_for_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "pins.json").write_text(text)
    with pytest.raises(PackError, match="the pins do not parse"):
        read_pins(tmp_path / "pins.json")
