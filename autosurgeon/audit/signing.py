"""Signing: DSSE envelopes by an Ed25519 key of the workspace's own, which any reader of DSSE can verify.

The library takes a sixth of a second to load, so each function asks for it when it is needed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autosurgeon.core.digest import canonical_json
from autosurgeon.errors import UserError, durably

if TYPE_CHECKING:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner, SSlibKey

PRIVATE, PUBLIC = "private.pem", "public.json"


def signer_of(folder: Path) -> CryptoSigner:
    """The workspace's signer; its key is made at the first call, readable by its owner alone."""
    from securesystemslib.signer import CryptoSigner

    private = folder / PRIVATE
    if not private.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        signer = CryptoSigner.generate_ed25519()
        # The public half first: a private key without it would be of no use after a crash between the two.
        key = signer.public_key
        write_durably(folder / PUBLIC, canonical_json({"keyid": key.keyid, **key.to_dict()}).encode() + b"\n")
        write_durably(private, signer.private_bytes, mode=0o600)
    try:
        return CryptoSigner.from_priv_key_uri(f"file2:{private}", public_key(folder / PUBLIC))
    except (OSError, ValueError) as error:
        raise UserError("the signing key cannot be used", got=error, wanted="both halves", where=private) from error


def public_key(path: Path) -> SSlibKey:
    """A public key from its file; UserError where it is none."""
    from securesystemslib.signer import Key, SSlibKey

    try:
        content = json.loads(path.read_bytes())
        key = Key.from_dict(content.pop("keyid"), content)
    except OSError as error:
        raise UserError("a public key cannot be read", got=error.strerror, where=path) from error
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError("a public key is damaged", got=error, where=path) from error
    assert isinstance(key, SSlibKey)
    return key


def signed(content: Any, payload_type: str, signer: CryptoSigner) -> dict[str, Any]:
    """A DSSE envelope around a JSON value, as JSON."""
    from securesystemslib.dsse import Envelope

    envelope = Envelope(canonical_json(content).encode(), payload_type, {})
    envelope.sign(signer)
    return dict(envelope.to_dict())


def open_envelope(raw: bytes) -> Envelope:
    """An envelope, not verified yet; ValueError where it is none."""
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import FormatError

    try:
        return Envelope.from_dict(json.loads(raw))
    except (KeyError, TypeError, AttributeError, FormatError, RecursionError) as error:
        raise ValueError(f"no DSSE envelope: {error}") from error


def is_signed(envelope: Envelope, key: SSlibKey) -> bool:
    """Whether that key has signed it."""
    from securesystemslib.exceptions import VerificationError

    try:
        envelope.verify([key], 1)
    except (VerificationError, ValueError):
        return False
    return True


def write_durably(path: Path, raw: bytes, mode: int = 0o644) -> None:
    """Write a file whole or not at all, and onto the disk; never readable by more than `mode` says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(raw)
        file.flush()
        with durably(path):
            os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with durably(path):
            part.replace(path)
            os.fsync(folder)
    finally:
        os.close(folder)
