"""Keys and checkpoints on disk."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from autosurgeon.audit.checkpoints import copy_checkpoint, read_checkpoint, write_checkpoint
from autosurgeon.audit.signing import PRIVATE, PUBLIC, public_key, signer_of
from autosurgeon.core.chain import Head
from autosurgeon.errors import UserError

HEAD = Head(7, "a" * 64)
NOON = "2030-01-01T12:00:00+00:00"


def test_a_checkpoint_is_a_dsse_envelope_that_its_public_key_verifies(tmp_path: Path) -> None:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import Key

    path = write_checkpoint(tmp_path / "c", tmp_path / "keys", HEAD, NOON)
    assert path is not None
    assert path.name == "00000007.json"
    envelope = Envelope.from_dict(json.loads(path.read_bytes()))
    content = json.loads((tmp_path / "keys" / PUBLIC).read_bytes())
    envelope.verify([Key.from_dict(content.pop("keyid"), content)], 1)
    assert json.loads(envelope.payload) == {"size": 7, "head": "a" * 64, "at": NOON}
    found = read_checkpoint(path, public_key(tmp_path / "keys" / PUBLIC))
    assert (found.head, found.wrong) == (HEAD, "")


def test_the_private_key_is_its_owners_alone_and_made_once(tmp_path: Path) -> None:
    first, second = signer_of(tmp_path), signer_of(tmp_path)
    assert first.private_bytes == second.private_bytes
    assert stat.S_IMODE((tmp_path / PRIVATE).stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == [PRIVATE, PUBLIC]


def test_a_key_that_lost_its_other_half_is_named(tmp_path: Path) -> None:
    signer_of(tmp_path)
    (tmp_path / PUBLIC).unlink()
    with pytest.raises(UserError, match="public key cannot be read"):
        signer_of(tmp_path)


def test_an_older_word_on_the_same_length_is_never_replaced(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "c", tmp_path / "keys", HEAD, NOON)
    assert path is not None
    before = path.read_bytes()
    assert write_checkpoint(tmp_path / "c", tmp_path / "keys", Head(7, "b" * 64), NOON) is None
    assert path.read_bytes() == before
    assert write_checkpoint(tmp_path / "c", tmp_path / "keys", Head(0, ""), NOON) is None


def test_a_copy_comes_with_the_key_that_verifies_it(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "c", tmp_path / "keys", HEAD, NOON)
    assert path is not None
    for _ in range(2):
        copy_checkpoint(path, tmp_path / "keys", tmp_path / "copy")
    assert sorted(each.name for each in (tmp_path / "copy").iterdir()) == ["00000007.json", PUBLIC]
    assert read_checkpoint(tmp_path / "copy" / path.name, public_key(tmp_path / "copy" / PUBLIC)).wrong == ""
