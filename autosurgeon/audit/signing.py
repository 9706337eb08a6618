"""Signing of DSSE envelopes with Ed25519 keys; `keys` chooses the key.

The library takes a sixth of a second to import, so each function imports it on demand.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from autosurgeon.core.digest import canonical_json
from autosurgeon.errors import InstallError, UserError, durably

if TYPE_CHECKING:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner, SSlibKey

    Signer: TypeAlias = CryptoSigner

PRIVATE, PUBLIC = "private.pem", "public.json"
KIND_OF_KEY = "ed25519"


def generate_signer() -> CryptoSigner:
    """Generate a pair of keys."""
    from securesystemslib.signer import CryptoSigner

    return CryptoSigner.generate_ed25519()


def private_signer(path: Path, *, any_mode: bool = False) -> CryptoSigner:
    """Load a signer from a private key's file; the public half is derived.

    Args:
        path: PEM, PKCS #8, not encrypted.
        any_mode: accept a file that other users can read.

    Raises:
        UserError: the file is unreadable, not an Ed25519 key, or readable by other users.

    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner, SSlibKey

    try:
        raw, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        raise UserError("the signing key cannot be read", got=error.strerror, where=path) from error
    if mode & 0o077 and not any_mode:
        raise UserError(
            "the signing key can be read by other users",
            got=f"mode {mode & 0o777:o}",
            wanted=f"`chmod 600 {path}`; if another user may have read it, also `autosurgeon audit rotate-key`",
            where=path,
        )
    wanted = "an Ed25519 key as PEM, restored from a backup; or `autosurgeon audit rotate-key --lost --reason R`"
    try:
        private = load_pem_private_key(raw, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        got = f"{len(raw)} bytes that are not a private key, or an incomplete or encrypted one"
        raise UserError("the signing key is damaged", got=got, wanted=wanted, where=path) from error
    if not isinstance(private, Ed25519PrivateKey):
        got = f"{type(private).__name__}, possibly of a newer autosurgeon"
        what = "this version does not support the signing key's type"
        raise UserError(what, got=got, wanted=wanted, where=path)
    return CryptoSigner(private, SSlibKey.from_crypto(private.public_key(), scheme=KIND_OF_KEY))


def public_key(path: Path) -> SSlibKey:
    """Load a public key from its file; UserError where the file is not one."""
    try:
        return key_of(json.loads(path.read_bytes()))
    except OSError as error:
        raise UserError("a public key cannot be read", got=error.strerror, where=path) from error
    except (ValueError, RecursionError) as error:
        wanted = (
            "a key that this version supports; if private.pem is in the folder, remove this file: it is derived again"
        )
        raise UserError("a public key is damaged or of a newer format", got=error, wanted=wanted, where=path) from error


def key_of(content: Any) -> SSlibKey:
    """Load a public key from its JSON object, with its `keyid`; ValueError where it is not one."""
    from securesystemslib.signer import Key, SSlibKey

    try:
        fields = dict(content)
        key = Key.from_dict(fields.pop("keyid"), fields)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not a public key: {error}") from error
    if not isinstance(key, SSlibKey) or not isinstance(key.keyid, str) or key.keytype != KIND_OF_KEY:
        raise ValueError(f"a key of type {key.keytype}")
    return key


def key_content(key: SSlibKey) -> dict[str, Any]:
    """Return a public key as a JSON object."""
    return {"keyid": key.keyid, **key.to_dict()}


def key_bytes(key: SSlibKey) -> bytes:
    """Return the bytes of a public key's file."""
    return canonical_json(key_content(key)).encode() + b"\n"


def signed(content: Any, payload_type: str, *signers: CryptoSigner) -> dict[str, Any]:
    """Sign a JSON value with each signer; return the DSSE envelope as JSON."""
    from securesystemslib.dsse import Envelope

    envelope = Envelope(canonical_json(content).encode(), payload_type, {})
    for signer in signers:
        envelope.sign(signer)
    return dict(envelope.to_dict())


def open_envelope(raw: bytes) -> Envelope:
    """Parse an envelope without verifying it; ValueError where it is not one."""
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import FormatError

    try:
        return Envelope.from_dict(json.loads(raw))
    except (KeyError, TypeError, AttributeError, FormatError, RecursionError) as error:
        raise ValueError(f"not a DSSE envelope: {error}") from error


def is_signed(envelope: Envelope, key: SSlibKey) -> bool:
    """Whether the key signed the envelope.

    Raises:
        InstallError: this installation cannot verify signatures, whether valid or not.

    """
    from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError

    own = envelope.signatures.get(key.keyid)
    if own is None:
        return False
    try:
        key.verify_signature(own, envelope.pae())
    except VerificationError as error:
        # The library raises this for every failure; only one about the signature or the key is an answer.
        if isinstance(error.__cause__, ValueError | TypeError):
            return False
        got = f"{type(error.__cause__).__name__}: {error.__cause__}"
        packages = ["'securesystemslib[crypto]'"]
        raise InstallError("signatures cannot be verified", got=got, packages=packages) from error
    except UnverifiedSignatureError:
        return False
    return True


def write_durably(path: Path, raw: bytes, mode: int = 0o644) -> None:
    """Write a file atomically and flush it; it is never readable by more users than `mode` allows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(raw)
        file.flush()
        with durably(path):
            os.fsync(file.fileno())
    move_durably(part, path)


def move_durably(source: Path, target: Path) -> None:
    """Rename a file within its folder, replacing the target, and flush the folder."""
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        with durably(target):
            source.replace(target)
            os.fsync(folder)
    finally:
        os.close(folder)
