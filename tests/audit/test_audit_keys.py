"""The signing key is loaded where something was signed, made only where nothing was, and each damage is one line."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import audited
import pytest
from builders import make_decision

from autosurgeon.audit.checkpoints import checkpoint_files
from autosurgeon.audit.keys import kept_name, load_signer, make_key, signer_for
from autosurgeon.audit.signing import (
    PRIVATE,
    PUBLIC,
    generate_signer,
    is_signed,
    key_bytes,
    open_envelope,
    signed,
)
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import InstallError, UserError
from autosurgeon.store.sqlstore import SqlStore


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return audited.build(tmp_path_factory.mktemp("chain") / "w", passes=2)


@pytest.fixture
def workspace(whole: Workspace, tmp_path: Path) -> Workspace:
    return audited.copied(whole, tmp_path / "w")


@pytest.fixture
def store(workspace: Workspace) -> Iterator[SqlStore]:
    store = SqlStore(workspace.database)
    yield store
    store.close()


def test_the_private_key_is_its_owners_alone_and_made_once(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    store = SqlStore(workspace.database, create=True)
    assert load_signer(workspace, store) is None
    first, second = signer_for(workspace, store), signer_for(workspace, store)
    store.close()
    assert first.private_bytes == second.private_bytes
    assert stat.S_IMODE((workspace.keys / PRIVATE).stat().st_mode) == 0o600
    assert sorted(path.name for path in workspace.keys.iterdir()) == [PRIVATE, PUBLIC]


def test_a_crash_between_the_two_halves_of_a_first_key_leaves_one_that_works(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    store = SqlStore(workspace.database, create=True)
    made = make_key(workspace.keys)
    (workspace.keys / PUBLIC).unlink()
    assert signer_for(workspace, store).public_key == made.public_key
    assert (workspace.keys / PUBLIC).is_file()
    store.close()


def test_a_chain_with_one_unsigned_decision_may_get_its_first_key(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    store = SqlStore(workspace.database, create=True)
    store.decide(make_decision("d-1"))
    assert load_signer(workspace, store) is None
    store.decide(make_decision("d-2"))
    with pytest.raises(UserError, match="signing key is missing"):
        signer_for(workspace, store)
    assert not workspace.keys.exists()
    store.close()


Loss = Callable[[Workspace], object]


def remove(*names: str) -> Loss:
    def unlink(workspace: Workspace) -> None:
        for name in names:
            (workspace.keys / name).unlink()

    return unlink


def write(name: str, raw: bytes) -> Loss:
    return lambda workspace: (workspace.keys / name).write_bytes(raw)


def cut(name: str) -> Loss:
    return lambda workspace: (workspace.keys / name).write_bytes((workspace.keys / name).read_bytes()[:-30])


def other_pair(*names: str) -> Loss:
    def replace(workspace: Workspace) -> None:
        other = workspace.root / "other"
        make_key(other)
        for name in names:
            shutil.copyfile(other / name, workspace.keys / name)

    return replace


def as_pem(kind: str, *, password: bytes | None = None) -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    key = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else ed25519.Ed25519PrivateKey.generate()
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)


def checkpoints_alone_are_left(workspace: Workspace) -> None:
    shutil.rmtree(workspace.keys)


def nothing_signed_is_left(workspace: Workspace) -> None:
    shutil.rmtree(workspace.keys)
    shutil.rmtree(workspace.checkpoints)


def a_folder(workspace: Workspace) -> None:
    (workspace.keys / PRIVATE).unlink()
    (workspace.keys / PRIVATE).mkdir()


def a_link_to_nothing(workspace: Workspace) -> None:
    (workspace.keys / PRIVATE).unlink()
    (workspace.keys / PRIVATE).symlink_to(workspace.root / "stick" / PRIVATE)


def halves_with_the_public_one_in_force(workspace: Workspace) -> None:
    other_pair(PRIVATE)(workspace)


LOSSES: dict[str, tuple[Loss, str]] = {
    "private gone": (remove(PRIVATE), "the signing key is missing"),
    "both gone": (remove(PRIVATE, PUBLIC), "the signing key is missing"),
    "keys gone": (checkpoints_alone_are_left, "the signing key is missing"),
    "keys and checkpoints gone": (nothing_signed_is_left, "the signing key is missing"),
    "private empty": (write(PRIVATE, b""), "the signing key is damaged"),
    "private cut short": (cut(PRIVATE), "the signing key is damaged"),
    "private is text": (write(PRIVATE, b"hello"), "the signing key is damaged"),
    "private is bytes": (write(PRIVATE, bytes(range(256))), "the signing key is damaged"),
    "private encrypted": (write(PRIVATE, as_pem("ed25519", password=b"x")), "the signing key is damaged"),
    "private of a newer kind": (write(PRIVATE, as_pem("ec")), "does not support the signing key's type"),
    "private is a folder": (a_folder, "the signing key cannot be read"),
    "private is a link to nothing": (a_link_to_nothing, "the signing key cannot be read"),
    "public empty": (write(PUBLIC, b""), "damaged or of a newer format"),
    "public cut short": (cut(PUBLIC), "damaged or of a newer format"),
    "public is a list": (write(PUBLIC, b"[]"), "damaged or of a newer format"),
    "public is deep": (write(PUBLIC, b"[" * 100_000), "damaged or of a newer format"),
    "public of a newer kind": (
        write(PUBLIC, b'{"keyid":"a","keytype":"newer","keyval":{"public":"aa"},"scheme":"newer/2"}'),
        "damaged or of a newer format",
    ),
    "private of another pair": (other_pair(PRIVATE), f"{PUBLIC} fits the newest checkpoint"),
    "public of another pair": (other_pair(PUBLIC), f"{PRIVATE} fits the newest checkpoint"),
    "both of another pair": (other_pair(PRIVATE, PUBLIC), "the newest checkpoint is not signed with this signing key"),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_each_loss_of_a_key_is_one_line_that_states_what_to_do_and_nothing_is_made(
    workspace: Workspace, store: SqlStore, loss: str
) -> None:
    lose, line = LOSSES[loss]
    lose(workspace)
    before = sorted(workspace.root.rglob("*"))
    with pytest.raises(UserError, match=line) as error:
        signer_for(workspace, store)
    assert sorted(workspace.root.rglob("*")) == before
    message = str(error.value)
    assert "\n" not in message
    assert "rotate-key" in message or "derived again" in message or "cannot be read" in message
    assert str(workspace.keys) in message


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o666])
def test_a_private_key_that_others_can_read_is_refused(workspace: Workspace, store: SqlStore, mode: int) -> None:
    (workspace.keys / PRIVATE).chmod(mode)
    with pytest.raises(UserError, match=f"can be read by other users; got mode {mode:o}; wanted `chmod 600"):
        signer_for(workspace, store)
    (workspace.keys / PRIVATE).chmod(0o400)
    assert signer_for(workspace, store)


def test_a_missing_public_half_is_derived_where_the_private_one_signed_the_checkpoints(
    workspace: Workspace, store: SqlStore
) -> None:
    before = (workspace.keys / PUBLIC).read_bytes()
    (workspace.keys / PUBLIC).unlink()
    signer_for(workspace, store)
    assert (workspace.keys / PUBLIC).read_bytes() == before
    assert audited.check(workspace).whole


def test_a_missing_public_half_is_not_derived_from_another_private_one(workspace: Workspace, store: SqlStore) -> None:
    other_pair(PRIVATE)(workspace)
    (workspace.keys / PUBLIC).unlink()
    with pytest.raises(UserError, match="the newest checkpoint is not signed with this signing key"):
        signer_for(workspace, store)
    assert not (workspace.keys / PUBLIC).exists()


def test_the_newest_checkpoint_that_can_be_read_decides_however_far_back_it_is(
    workspace: Workspace, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autosurgeon.audit.keys.PROBED", 1)
    for path in checkpoint_files(workspace.checkpoints)[1:]:
        path.write_bytes(b"{}")
    assert signer_for(workspace, store)
    other_pair(PRIVATE, PUBLIC)(workspace)
    with pytest.raises(UserError, match=checkpoint_files(workspace.checkpoints)[0].name):
        signer_for(workspace, store)


@pytest.mark.skipif(os.getuid() == 0, reason="root reads every folder")
def test_a_folder_of_keys_that_cannot_be_read_is_one_line(workspace: Workspace, store: SqlStore) -> None:
    workspace.keys.chmod(0)
    try:
        with pytest.raises(UserError, match="cannot be read"):
            signer_for(workspace, store)
    finally:
        workspace.keys.chmod(0o755)


def test_a_path_with_any_character_is_no_obstacle(workspace: Workspace, tmp_path: Path) -> None:
    odd = audited.copied(workspace, tmp_path / "a #?%20&b c" / "w")
    store = SqlStore(odd.database)
    assert signer_for(odd, store)
    store.close()


def test_a_kept_key_is_named_by_its_id() -> None:
    key = generate_signer().public_key
    assert kept_name(key.keyid) == f"public-{key.keyid[:16]}.json"
    assert key.keyid.encode() in key_bytes(key)


def test_only_the_key_that_signed_verifies_and_no_changed_content_does() -> None:
    signer, other = generate_signer(), generate_signer()
    envelope = signed({"a": 1}, "application/json", signer)
    assert is_signed(open_envelope(json.dumps(envelope).encode()), signer.public_key)
    assert not is_signed(open_envelope(json.dumps(envelope).encode()), other.public_key)
    renamed = envelope | {"signatures": [envelope["signatures"][0] | {"keyid": other.public_key.keyid}]}
    assert not is_signed(open_envelope(json.dumps(renamed).encode()), other.public_key)
    for sig in ("", "AAAA", "A" * 88):
        forged = envelope | {"signatures": [envelope["signatures"][0] | {"sig": sig}]}
        assert not is_signed(open_envelope(json.dumps(forged).encode()), signer.public_key)


@pytest.mark.parametrize("error", [ImportError("libcrypto.so.3: cannot open"), OSError("gone"), RuntimeError("x")])
def test_a_library_that_fails_is_no_forged_signature(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = generate_signer()
    envelope = open_envelope(json.dumps(signed({"a": 1}, "application/json", signer)).encode())

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(type(signer.public_key), "_verify", fail)
    with pytest.raises(InstallError, match=rf"signatures cannot be verified; got {type(error).__name__}: ") as caught:
        is_signed(envelope, signer.public_key)
    assert "pip install --force-reinstall 'securesystemslib[crypto]'" in str(caught.value)
