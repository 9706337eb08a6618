"""Digests that name values and texts."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def digest_text(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, as 64 hex digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def canonical_json(value: Any) -> str:
    """Return the canonical form of a JSON value: sorted keys, no blanks; ValueError for NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_json(value: Any) -> str:
    """Return the SHA-256 of the canonical form of a JSON value."""
    return digest_text(canonical_json(value))
