"""Digests: how values, texts and bytes are named."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def digest_text(text: str) -> str:
    """The SHA-256 of a text in UTF-8, as 64 hex digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def canonical_json(value: Any) -> str:
    """One spelling per JSON value: sorted keys, no blanks, no NaN (ValueError)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_json(value: Any) -> str:
    """The SHA-256 of a JSON value's canonical spelling."""
    return digest_text(canonical_json(value))
