"""What the campaign benchmark found, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from campaignarms import Arm
from campaignrun import Campaign


def tell(arms: Sequence[Arm], found: Sequence[Campaign], tokens: int) -> None:
    """Print it."""
    print(arms, len(found), tokens)


def plot(path: Path, arms: Sequence[Arm], found: Sequence[Campaign], tokens: int) -> None:
    """Draw it."""
