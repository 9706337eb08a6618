"""What a model answered, and who of a runtime it was."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import Field

from autosurgeon.core.envelope import ORGAN
from autosurgeon.core.value import Value


class Reply(Value):
    """One answer to one task."""

    text: str
    tokens: int | None = Field(None, ge=0)
    """How many were generated; None where nobody told."""
    handler: str = Field(ORGAN, min_length=1)
    """Which part of the runtime answered."""
    fallback: bool = False
    """Whether a fallback model did."""
    model: str | None = None
    """The answering model's name: a pack's digest, a folder's name, or what the server reports; None if it does not."""


class Answers(NamedTuple):
    """The replies of one model."""

    replies: dict[str, list[Reply]]
    """By task id."""
    fingerprint: str
    """Answers of different fingerprints are not comparable."""
