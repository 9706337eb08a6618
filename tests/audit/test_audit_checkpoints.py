"""Checkpoints on disk, and their copies."""

from __future__ import annotations

import json
from pathlib import Path

from autosurgeon.audit.checkpoints import copy_checkpoint, read_checkpoint, signature_fault, write_checkpoint
from autosurgeon.audit.keys import kept_name, known_keys, make_key
from autosurgeon.audit.signing import PUBLIC, generate_signer, key_bytes, public_key
from autosurgeon.core.hash_chain import Head

HEAD = Head(7, "a" * 64)
NOON = "2030-01-01T12:00:00+00:00"


def test_a_checkpoint_is_a_dsse_envelope_that_its_public_key_verifies(tmp_path: Path) -> None:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import Key

    path = write_checkpoint(tmp_path / "c", make_key(tmp_path / "keys"), HEAD, NOON)
    assert path is not None
    assert path.name == "00000007.json"
    envelope = Envelope.from_dict(json.loads(path.read_bytes()))
    content = json.loads((tmp_path / "keys" / PUBLIC).read_bytes())
    envelope.verify([Key.from_dict(content.pop("keyid"), content)], 1)
    assert json.loads(envelope.payload) == {"size": 7, "head": "a" * 64, "at": NOON}
    found = read_checkpoint(path)
    assert (found.head, signature_fault(found, public_key(tmp_path / "keys" / PUBLIC))) == (HEAD, "")
    assert "not signed" in signature_fault(found, generate_signer().public_key)
    assert "public key is missing" in signature_fault(found, None)


def test_an_older_checkpoint_of_the_same_length_is_never_replaced(tmp_path: Path) -> None:
    signer = make_key(tmp_path / "keys")
    path = write_checkpoint(tmp_path / "c", signer, HEAD, NOON)
    assert path is not None
    before = path.read_bytes()
    assert write_checkpoint(tmp_path / "c", signer, Head(7, "b" * 64), NOON) is None
    assert path.read_bytes() == before
    assert write_checkpoint(tmp_path / "c", signer, Head(0, ""), NOON) is None


def test_a_copy_comes_with_the_keys_that_verify_it_and_never_replaces_the_first(tmp_path: Path) -> None:
    keys, copy = tmp_path / "keys", tmp_path / "copy"
    first = make_key(keys)
    path = write_checkpoint(tmp_path / "c", first, HEAD, NOON)
    assert path is not None
    for _ in range(2):
        copy_checkpoint(path, keys, copy)
    assert sorted(each.name for each in copy.iterdir()) == ["00000007.json", PUBLIC]
    assert signature_fault(read_checkpoint(copy / path.name), public_key(copy / PUBLIC)) == ""

    second = generate_signer()
    (keys / kept_name(first.public_key.keyid)).write_bytes((keys / PUBLIC).read_bytes())
    (keys / PUBLIC).write_bytes(key_bytes(second.public_key))
    later = write_checkpoint(tmp_path / "c", second, Head(9, "b" * 64), NOON)
    assert later is not None
    for _ in range(2):
        copy_checkpoint(later, keys, copy)
    assert public_key(copy / PUBLIC).keyid == first.public_key.keyid
    assert known_keys(copy).keys() == {first.public_key.keyid, second.public_key.keyid}
